package weights

import "fmt"

// The sizes in a file are claims. Before anything is allocated on the strength of one, it is
// held against what the file can really contain, and against a budget derived from the
// file's true size: a deflated record, overlapping zip entries, a stride of 0 and a thousand
// strided views of one storage can each ask for far more than the file holds.
const (
	// maxFile bounds a checkpoint as a whole: even what is in proportion to a file may be too
	// much, and a sparse file has any size for nothing.
	maxFile = 8 << 30

	// maxPickle bounds the object graph of one checkpoint. Real ones need about 150 bytes
	// per tensor (74 KB for 508 entries), with optimizer state 1 MB.
	maxPickle = 16 << 20

	// storageFloor is what the storages and gathered views of any file may take, however small,
	// and storageFactor how many times its own size in addition. A sound file needs 1, one
	// that is strided throughout 2, a deflated one what it was deflated by.
	storageFloor  = 4 << 20
	storageFactor = 8

	// graphFloor and graphFactor are the same for the object graph, by the verifier's estimate,
	// which is about twice what it really takes: 6 KB for each tensor.
	graphFloor  = 8 << 20
	graphFactor = 24
)

// budget counts the bytes that reading one file may still allocate for storages and gathered views.
type budget struct{ size, left int64 }

func newBudget(fileSize int64) *budget {
	return &budget{size: fileSize, left: storageFloor + storageFactor*min(fileSize, 1<<55)}
}

// graphCost is how much memory the object graph of a file may take.
func graphCost(fileSize int64) int64 { return graphFloor + graphFactor*min(fileSize, maxPickle) }

// take reserves n bytes or explains why not. A negative n is refused too.
func (b *budget) take(n int64, what string) error {
	if n < 0 || n > b.left {
		return badf("%s wants %s more, which is out of proportion to a file of %s; the file is damaged or made to exhaust memory", what, sizeText(n), sizeText(b.size))
	}
	b.left -= n
	return nil
}

// sizeText writes a byte count for people, exactly where it is short.
func sizeText(n int64) string {
	switch {
	case n < 0:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<40:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f TiB", float64(n)/(1<<40))
}
