package weights

import "math"

// The pickle opcodes that a checkpoint of protocol 1 to 5 may hold, by their names in CPython's pickletools.
const (
	opMark            = '('
	opStop            = '.'
	opPop             = '0'
	opPopMark         = '1'
	opDup             = '2'
	opInt             = 'I'
	opBinInt          = 'J'
	opBinInt1         = 'K'
	opLong            = 'L'
	opBinInt2         = 'M'
	opNone            = 'N'
	opBinPersID       = 'Q'
	opReduce          = 'R'
	opBinString       = 'T'
	opShortBinString  = 'U'
	opBinUnicode      = 'X'
	opAppend          = 'a'
	opBuild           = 'b'
	opGlobal          = 'c'
	opAppends         = 'e'
	opBinGet          = 'h'
	opLongBinGet      = 'j'
	opList            = 'l'
	opEmptyList       = ']'
	opEmptyTuple      = ')'
	opBinPut          = 'q'
	opLongBinPut      = 'r'
	opSetItem         = 's'
	opTuple           = 't'
	opSetItems        = 'u'
	opEmptyDict       = '}'
	opBinFloat        = 'G'
	opProto           = 0x80
	opNewObj          = 0x81
	opTuple1          = 0x85
	opTuple2          = 0x86
	opTuple3          = 0x87
	opNewTrue         = 0x88
	opNewFalse        = 0x89
	opLong1           = 0x8a
	opLong4           = 0x8b
	opBinBytes        = 'B'
	opShortBinBytes   = 'C'
	opShortBinUnicode = 0x8c
	opBinUnicode8     = 0x8d
	opBinBytes8       = 0x8e
	opEmptySet        = 0x8f
	opAddItems        = 0x90
	opFrozenSet       = 0x91
	opNewObjEx        = 0x92
	opStackGlobal     = 0x93
	opMemoize         = 0x94
	opFrame           = 0x95
	opByteArray8      = 0x96
)

// maxProtocol is the newest pickle protocol there is.
const maxProtocol = 5

// step verifies one opcode and emits its plain form; done is set after STOP.
func (v *verifier) step() (done bool, err error) {
	v.opAt = v.pos
	b, err := v.bytes(1)
	if err != nil {
		return false, err
	}
	switch op := b[0]; op {
	case opProto:
		p, err := v.uint(1)
		if err == nil && p > maxProtocol {
			return false, unsupportedf("pickle protocol %d; wanted at most %d; save it again with an older pickle_protocol", p, maxProtocol)
		}
		return false, err
	case opFrame: // carries no meaning once everything is in memory
		n, err := v.uint(8)
		if err == nil && n > math.MaxInt64 {
			return false, v.bad("frame of %d bytes", n)
		}
		if err == nil && v.complete && n > uint64(len(v.src)-v.pos) {
			return false, v.bad("frame of %d bytes, %d left; the file is cut short or damaged", n, len(v.src)-v.pos)
		}
		return false, err
	case opStop:
		if _, err := v.pop(); err != nil {
			return false, err
		}
		v.emit(op)
		return true, nil
	case opInt, opLong, opBinInt, opBinInt1, opBinInt2, opBinFloat, opNone, opNewTrue, opNewFalse, opLong1, opLong4,
		opBinBytes, opShortBinBytes, opBinBytes8, opByteArray8:
		return false, v.stepScalar(op)
	case opBinString, opShortBinString, opBinUnicode, opShortBinUnicode, opBinUnicode8:
		return false, v.stepString(op)
	case opMark, opPop, opPopMark, opDup, opBinPut, opLongBinPut, opMemoize, opBinGet, opLongBinGet:
		return false, v.stepStack(op)
	case opEmptyTuple, opTuple, opTuple1, opTuple2, opTuple3, opEmptyList, opEmptySet, opEmptyDict, opFrozenSet:
		return false, v.stepContainer(op)
	case opAppend, opAppends, opAddItems, opSetItem, opSetItems, opBuild:
		return false, v.stepFill(op)
	case opGlobal, opStackGlobal, opReduce, opNewObj, opNewObjEx, opBinPersID:
		return false, v.stepObject(op)
	case 'F', 'P', 'S', 'V', 'd', 'g', 'i', opList, 'o', 'p', 0x82, 0x83, 0x84, 0x97, 0x98:
		return false, unsupportedf("object graph holds opcode %#02x at byte %d, which torch.save does not write (pickle protocol 0, extension codes, out-of-band buffers); save it again with torch.save", op, v.opAt)
	default:
		return false, v.bad("unknown opcode %#02x", op)
	}
}

var (
	// scalarBytes is the number of argument bytes of the fixed-size scalars.
	scalarBytes = [256]uint64{opBinInt: 4, opBinInt1: 1, opBinInt2: 2, opBinFloat: 8}
	// lengthBytes is the size of the length in front of the argument of the others.
	lengthBytes = [256]int{
		opLong1: 1, opLong4: 4, opBinBytes: 4, opShortBinBytes: 1, opBinBytes8: 8, opByteArray8: 8,
		opBinString: 4, opShortBinString: 1, opBinUnicode: 4, opShortBinUnicode: 1, opBinUnicode8: 8,
	}
)

func (v *verifier) stepScalar(op byte) error {
	var arg []byte
	var err error
	switch op {
	case opInt, opLong: // text, protocol 1
		if arg, err = v.line(); err != nil {
			return err
		}
		digits := countDigits(arg)
		switch {
		case digits == 0:
			return v.bad("%s is not an integer", quote(string(arg)))
		case digits > 18: // as below
			v.emit(opNone)
		default:
			v.emit(op)
			v.out = append(v.out, arg...)
			v.emit('\n')
		}
	case opLong1, opLong4:
		if arg, err = v.counted(lengthBytes[op]); err != nil {
			return err
		}
		switch {
		case len(arg) == 0:
			v.emit(opBinInt1, 0) // Python reads it as 0
		case len(arg) <= 8:
			v.emit(opLong1, byte(len(arg)))
			v.out = append(v.out, arg...)
		default:
			v.emit(opNone) // a random generator's seed; no size or offset is that long
		}
	case opBinBytes, opShortBinBytes, opBinBytes8, opByteArray8:
		if _, err = v.counted(lengthBytes[op]); err != nil {
			return err
		}
		v.emit(opShortBinBytes, 0)
	default:
		if arg, err = v.bytes(scalarBytes[op]); err != nil {
			return err
		}
		v.emit(op)
		v.out = append(v.out, arg...)
	}
	return v.push(pickleValue{kind: kindOther})
}

// countDigits returns the number of digits of a decimal integer, which may have a minus before it and
// Python 2's L after it; 0 if it is none.
func countDigits(b []byte) int {
	if len(b) > 0 && b[len(b)-1] == 'L' {
		b = b[:len(b)-1]
	}
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0
		}
	}
	return len(b)
}

func (v *verifier) stepString(op byte) error {
	arg, err := v.counted(lengthBytes[op])
	if err != nil {
		return err
	}
	n := len(arg)
	v.emit(opBinUnicode, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	v.out = append(v.out, arg...)
	if err := v.charge(2*n + 32); err != nil {
		return err
	}
	return v.push(pickleValue{kindString, uint32(v.pos - n), uint32(v.pos)})
}

func (v *verifier) stepStack(op byte) error {
	switch op {
	case opMark:
		if len(v.marks) >= maxPickleMarks {
			return v.bad("containers nested more than %d deep", maxPickleMarks)
		}
		v.marks = append(v.marks, len(v.stack))
		v.emit(op)
		if err := v.charge(320); err != nil { // the library makes a stack of 16 for each mark
			return err
		}
		return v.push(pickleValue{kind: kindMark})
	case opPop:
		if n := len(v.stack); n > 0 && v.stack[n-1].kind == kindMark {
			v.emit(opPopMark)
			_, err := v.popMark()
			return err
		}
		v.emit(op)
		_, err := v.pop()
		return err
	case opPopMark:
		v.emit(op)
		_, err := v.popMark()
		return err
	case opDup:
		v.emit(op)
		x, err := v.top()
		if err != nil {
			return err
		}
		return v.push(x)
	case opMemoize:
		v.emit(op)
		return v.put(uint64(v.memoUsed))
	}
	size := 1
	if op == opLongBinPut || op == opLongBinGet {
		size = 4
	}
	i, err := v.uint(size)
	if err != nil {
		return err
	}
	v.emit(op)
	v.out = append(v.out, v.src[v.pos-size:v.pos]...)
	if op == opBinPut || op == opLongBinPut {
		return v.put(i)
	}
	return v.get(i)
}

func (v *verifier) stepContainer(op byte) error {
	switch op {
	case opTuple1:
		return v.build(op, 1, kindTuple)
	case opTuple2:
		return v.build(op, 2, kindTuple)
	case opTuple3:
		return v.build(op, 3, kindTuple)
	case opEmptyTuple:
		return v.build(op, 0, kindTuple)
	case opEmptyList, opEmptySet:
		if err := v.charge(64); err != nil {
			return err
		}
		return v.build(opEmptyList, 0, kindList)
	case opEmptyDict:
		if err := v.class("builtins", "dict"); err != nil {
			return err
		}
		v.emit(opEmptyTuple, opReduce)
		v.stack[len(v.stack)-1] = pickleValue{kind: kindDict}
		return v.charge(160)
	}
	n, err := v.popMark()
	if err != nil {
		return err
	}
	kind := kindTuple
	if op == opFrozenSet {
		op, kind = opList, kindList
	}
	v.emit(op)
	if err := v.charge(48 + 16*n); err != nil {
		return err
	}
	return v.push(pickleValue{kind: kind})
}

// stepFill verifies the opcodes that put values into a container or object.
func (v *verifier) stepFill(op byte) error {
	n, err := 1, error(nil)
	switch op {
	case opAppends, opAddItems, opSetItems:
		n, err = v.popMark()
		if err == nil && op == opSetItems && n%2 != 0 {
			err = v.bad("%d keys and values for a dict, an odd number", n)
		}
	case opSetItem:
		if _, err = v.pop(); err == nil {
			_, err = v.pop()
		}
	default: // opAppend, opBuild
		_, err = v.pop()
	}
	if err != nil {
		return err
	}
	target, err := v.top()
	if err != nil {
		return err
	}
	ok := target.kind == kindObject
	switch op {
	case opAppend, opAppends, opAddItems:
		ok = ok || target.kind == kindList
	case opSetItem, opSetItems:
		ok = ok || target.kind == kindDict
	}
	if !ok {
		return v.bad("opcode %#02x put into something that cannot take it", op)
	}
	if op == opAddItems {
		op = opAppends
	}
	v.emit(op)
	return v.charge(128 * (n + 1))
}

// stepObject verifies the opcodes that name classes and make objects.
func (v *verifier) stepObject(op byte) error {
	switch op {
	case opGlobal:
		module, err := v.line()
		if err != nil {
			return err
		}
		name, err := v.line()
		if err != nil {
			return err
		}
		return v.class(string(module), string(name))
	case opStackGlobal:
		name, err := v.pop()
		if err != nil {
			return err
		}
		module, err := v.pop()
		if err != nil {
			return err
		}
		if name.kind != kindString || module.kind != kindString {
			return v.bad("the name of a class is not a string")
		}
		v.emit(opPop, opPop)
		return v.class(string(v.src[module.lo:module.hi]), string(v.src[name.lo:name.hi]))
	case opBinPersID:
		if x, err := v.pop(); err != nil || x.kind != kindTuple {
			return v.bad("a persistent id that is not a tuple")
		}
		v.emit(op)
		if err := v.charge(256); err != nil {
			return err
		}
		return v.push(pickleValue{kind: kindStorage})
	}
	if op == opNewObjEx { // keyword arguments
		if _, err := v.pop(); err != nil {
			return err
		}
	}
	args, err := v.pop()
	if err != nil {
		return err
	}
	class, err := v.pop()
	if err != nil {
		return err
	}
	if class.kind != kindClass || args.kind != kindTuple {
		return v.bad("opcode %#02x wants a class and a tuple", op)
	}
	v.emit(op)
	if err := v.charge(256); err != nil {
		return err
	}
	return v.push(pickleValue{kind: kindObject})
}
