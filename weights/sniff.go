package weights

import "bytes"

// sniffLen is how much of a file is looked at to tell what it is.
const sniffLen = 4096

func isZip(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06"))
}

// notACheckpoint says what a file looks like that is none of the known forms.
func notACheckpoint(head []byte, size int64) error {
	if size == 0 {
		return badf("is empty (0 bytes); wanted a checkpoint; download or copy it again")
	}
	return badf("is not a checkpoint (it begins with the bytes % x); wanted a .pth of PyTorch or a .safetensors file", head[:min(len(head), 8)])
}
