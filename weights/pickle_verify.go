package weights

import (
	"encoding/binary"
	"strconv"
)

// This file reads a pickle before the pickle library may. It runs the program abstractly,
// tracking only the kinds of values on the stack and in the memo, and writes out a plainer
// program with the same meaning:
//
//   - every length is at most what is left, every stack access is sound, every memo entry read exists;
//   - every class is on the allow-list and is named by its index there, so that the library
//     sees no class names at all (and cannot use those it knows itself);
//   - frames are gone, sets are lists, dicts are ours, bytes and integers beyond 64 bits are
//     blanked: nothing in a state dict needs them;
//   - the memory it will take has been estimated and held against a limit.
//
// What the library then runs can neither panic, nor allocate much, nor name anything.

// pickleKind is what the verifier knows of a value.
type pickleKind uint8

const (
	kindOther   pickleKind = iota // number, bool, None, bytes
	kindMark                      // the mark object
	kindString                    // a string, at lo:hi of the source
	kindTuple                     // a tuple
	kindList                      // a list or set
	kindDict                      // a dict made by EMPTY_DICT
	kindClass                     // an allowed class; lo is its index
	kindObject                    // what REDUCE or NEWOBJ made
	kindStorage                   // what a persistent id stands for
)

type pickleValue struct {
	kind   pickleKind
	lo, hi uint32
}

const (
	maxPickleStack = 1 << 17 // values; picklers flush after 1000
	maxPickleMarks = 2000    // nested marks; Python's own recursion limit allows fewer
	maxPickleLine  = 256     // bytes in one line of a text argument
)

// verifier is the state of one run. The zero value with src and costLeft set is ready.
type verifier struct {
	src      []byte
	pos      int
	opAt     int // where the current opcode is, for messages
	out      []byte
	stack    []pickleValue
	marks    []int // where in stack the marks are
	memo     []pickleValue
	memoSet  []bool
	memoUsed int
	costLeft int64
	complete bool // src holds all there is: running out of it is an error, not a request for more
}

// errNeedMore is returned by verifyPickle when src ends before the pickle does.
type errNeedMore struct{}

func (errNeedMore) Error() string { return "pickle: more input needed" }

// verifiedPickle is a pickle in its plain form, which loadPickle may run.
type verifiedPickle struct {
	plain    []byte
	length   int   // of the source
	costLeft int64 // what is left of the memory allowed
}

// verifyPickle checks the pickle at the start of src.
// Unless complete is set, a pickle that goes on after src gives errNeedMore.
// cost bounds the memory that running the plain form may take, in bytes.
func verifyPickle(src []byte, complete bool, cost int64) (verifiedPickle, error) {
	v := &verifier{src: src, complete: complete, costLeft: cost}
	for {
		done, err := v.step()
		if err != nil {
			return verifiedPickle{}, err
		}
		if done {
			return verifiedPickle{v.out, v.pos, v.costLeft}, nil
		}
	}
}

func (v *verifier) bad(format string, args ...any) error {
	return badf("object graph damaged at byte %d: "+format, append([]any{v.opAt}, args...)...)
}

// bytes returns the next n bytes of the source.
func (v *verifier) bytes(n uint64) ([]byte, error) {
	if n > uint64(len(v.src)-v.pos) {
		if !v.complete {
			return nil, errNeedMore{}
		}
		return nil, v.bad("it needs %d more bytes and %d are left; the file is cut short or damaged", n, len(v.src)-v.pos)
	}
	b := v.src[v.pos : v.pos+int(n)]
	v.pos += int(n)
	return b, nil
}

// uint reads a little-endian unsigned integer of n bytes.
func (v *verifier) uint(n int) (uint64, error) {
	b, err := v.bytes(uint64(n))
	if err != nil {
		return 0, err
	}
	var x [8]byte
	copy(x[:], b)
	return binary.LittleEndian.Uint64(x[:]), nil
}

// counted reads a length of n bytes and that many bytes after it.
func (v *verifier) counted(n int) ([]byte, error) {
	size, err := v.uint(n)
	if err != nil {
		return nil, err
	}
	return v.bytes(size)
}

// line reads a text argument without its newline.
func (v *verifier) line() ([]byte, error) {
	rest := v.src[v.pos:]
	for i := 0; i < len(rest) && i < maxPickleLine; i++ {
		if rest[i] == '\n' {
			v.pos += i + 1
			return rest[:i], nil
		}
	}
	if len(rest) < maxPickleLine && !v.complete {
		return nil, errNeedMore{}
	}
	return nil, v.bad("no end of line within %d bytes", maxPickleLine)
}

func (v *verifier) emit(b ...byte) { v.out = append(v.out, b...) }

// charge counts n bytes of memory against the limit.
func (v *verifier) charge(n int) error {
	v.costLeft -= int64(n)
	if v.costLeft < 0 {
		return badf("object graph would take memory out of proportion to the file; it is damaged or made to exhaust memory")
	}
	return nil
}

func (v *verifier) push(x pickleValue) error {
	if len(v.stack) >= maxPickleStack {
		return v.bad("more than %d values on the stack", maxPickleStack)
	}
	v.stack = append(v.stack, x)
	return v.charge(64)
}

// pop takes the topmost value, which must not be a mark.
func (v *verifier) pop() (pickleValue, error) {
	x, err := v.top()
	if err == nil {
		v.stack = v.stack[:len(v.stack)-1]
	}
	return x, err
}

func (v *verifier) top() (pickleValue, error) {
	if len(v.stack) == 0 || v.stack[len(v.stack)-1].kind == kindMark {
		return pickleValue{}, v.bad("stack underflow")
	}
	return v.stack[len(v.stack)-1], nil
}

// popMark takes everything down to the last mark and returns how many values that were.
func (v *verifier) popMark() (int, error) {
	if len(v.marks) == 0 {
		return 0, v.bad("no mark on the stack")
	}
	at := v.marks[len(v.marks)-1]
	n := len(v.stack) - at - 1
	v.stack = v.stack[:at]
	v.marks = v.marks[:len(v.marks)-1]
	return n, nil
}

// build pops n values and pushes one of the given kind.
func (v *verifier) build(op byte, n int, kind pickleKind) error {
	for range n {
		if _, err := v.pop(); err != nil {
			return err
		}
	}
	v.emit(op)
	if err := v.charge(48 + 16*n); err != nil {
		return err
	}
	return v.push(pickleValue{kind: kind})
}

// put stores the top of the stack in the memo.
func (v *verifier) put(i uint64) error {
	x, err := v.top()
	if err != nil {
		return err
	}
	// Picklers number the memo as they write, so an entry cannot outrun the bytes before it.
	if i > uint64(v.pos) {
		return v.bad("memo entry %d in a pickle of %d bytes so far", i, v.pos)
	}
	for uint64(len(v.memo)) <= i {
		v.memo = append(v.memo, pickleValue{})
		v.memoSet = append(v.memoSet, false)
	}
	if !v.memoSet[i] {
		v.memoSet[i] = true
		v.memoUsed++
	}
	v.memo[i] = x
	return v.charge(96)
}

// get pushes a memo entry.
func (v *verifier) get(i uint64) error {
	if i >= uint64(len(v.memo)) || !v.memoSet[i] {
		return v.bad("memo entry %d is not set", i)
	}
	return v.push(v.memo[i])
}

// class pushes an allowed class in place of a GLOBAL.
func (v *verifier) class(module, name string) error {
	i, ok := allowedIndex[[2]string{module, name}]
	if !ok {
		return forbiddenClass(module, name)
	}
	v.emit('c')
	v.out = append(v.out, plainModule...)
	v.emit('\n')
	v.out = strconv.AppendInt(v.out, int64(i), 10)
	v.emit('\n')
	if err := v.charge(160); err != nil {
		return err
	}
	return v.push(pickleValue{kind: kindClass, lo: uint32(i)})
}
