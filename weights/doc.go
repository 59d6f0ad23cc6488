// Package weights reads and writes tensors: checkpoints of PyTorch (.pth in zip and legacy
// form), .safetensors and numpy's .npy. It also fetches the published checkpoints.
//
// It is the stage "load" of ARCHITECTURE.md: a file becomes a *StateDict, needing neither a GPU
// nor cgo, and importing no other package of this module.
//
// # Untrusted input
//
// A checkpoint is untrusted. Its object graph is a program for Python's pickle machine: here it
// is verified and rewritten before the pickle library may run it, it can name only the classes of
// a fixed list (pickle_classes.go), and none of those is resolved or executed. Every length in a
// file is held against the file's true size before memory is taken for it.
//
// Beside the weights themselves, which take the file's size once, reading may take, for a file
// of n bytes:
//
//   - 16 MiB of object graph, and no more than an estimated 8 MiB + 24 n for what it becomes (6 KB per tensor);
//   - 4 MiB + 8 n of storages and gathered strided views in all, so that a deflated checkpoint may
//     be deflated eightfold beyond 4 MiB, and stride 0 may expand no further;
//   - 100 MB of safetensors header, as the format says; 64 KiB of .npy header; tensors of 64 dimensions.
//
// A checkpoint may have 8 GiB. A file that needs more than this is refused with a *FormatError. Time is in proportion to these sizes.
//
// # What is not read
//
// Refused with an *UnsupportedError that says what to do: whole pickled models and any other class
// outside the list, TorchScript, PyTorch's first tar format, pickles of protocol 0, and, when they are
// among the tensors asked for, complex, quantized, sparse, unsigned 16 to 64 bit and 8 bit float tensors. Keys of a
// dict that are no strings, and entries that are no tensors, are passed over (StateDict.Skipped).
package weights
