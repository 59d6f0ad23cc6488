// Package weights reads and writes tensors: checkpoints of PyTorch (.pth in zip and legacy
// form), .safetensors and numpy's .npy.
//
// It is the stage "load" of ARCHITECTURE.md: a file becomes a *StateDict, needing neither a GPU
// nor cgo, and importing no other package of this module.
//
// A checkpoint is untrusted input. Its object graph is a program for Python's pickle machine;
// here it is verified before it is run, it can name only the classes of a fixed list, and none of
// those is resolved or executed. Every length in a file is held against the file's true size
// before memory is taken for it, so that reading takes a few MiB and a small multiple of the
// file's size at most, whatever the file says.
package weights
