package shaders

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// SPIR-V numbers used here, beside reflect.go's.
const (
	opEntryPoint     = 15
	opFunction       = 54
	opFunctionCall   = 57
	opLoad           = 61
	opStore          = 62
	opAccessChain    = 65
	opControlBarrier = 224
	opLabel          = 248
	opBranch         = 249
	opBranchCond     = 250
	opSwitch         = 251
	opReturn         = 253
	opReturnValue    = 254
	opMatrixLoad     = 4457 // cooperative matrices
	opMatrixStore    = 4458
	classWorkgroup   = 4
)

// block is a basic block: what it does with shared memory, and where it goes.
type block struct {
	events  []event
	to      []uint32
	after   uint32 // where to is a called function's first block: the one that follows the call
	returns bool
}

// place is a block and the way there: the blocks that follow the calls which have not returned yet, as text.
type place struct {
	block uint32
	calls string
}

// next returns where a block leads.
func (p place) next(b *block) (list []place) {
	switch {
	case b.after != 0:
		return []place{{b.to[0], fmt.Sprintf("%s %d", p.calls, b.after)}}
	case b.returns && p.calls != "":
		i := strings.LastIndexByte(p.calls, ' ')
		var to uint32
		fmt.Sscan(p.calls[i:], &to)
		return []place{{to, p.calls[:i]}}
	}
	for _, to := range b.to {
		list = append(list, place{to, p.calls})
	}
	return list
}

// event is a barrier, or a read or write of a shared variable.
type event struct {
	barrier, write bool
	variable       uint32
}

// since is what may have happened to a shared variable since the last barrier, on any way to a point.
type since struct{ read, written bool }

// hazards looks at all ways through a module for accesses of one shared variable, of which one
// writes, without a barrier between a write and a read: lanes that run ahead would disturb or miss others'
// values. It takes a variable as a whole and does not know lanes' own elements, so that it may report what is
// no fault. Drivers cannot be relied on to show such faults: many run a
// workgroup's lanes in an order that hides them.
func hazards(code []byte) ([]string, error) {
	m, err := parseModule(code)
	if err != nil {
		return nil, err
	}
	shared := map[uint32]string{}
	for id, v := range m.variables {
		if v.class == classWorkgroup {
			shared[id] = m.names[id]
		}
	}
	blocks, entries, err := blocksOf(code, shared)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	states := map[place]map[uint32]since{} // at a block's beginning, by variable
	var work []place
	for _, e := range entries {
		work = append(work, place{block: e})
		states[place{block: e}] = map[uint32]since{}
	}
	for len(work) > 0 {
		at := work[0]
		work = work[1:]
		state := maps.Clone(states[at])
		for _, e := range blocks[at.block].events {
			s := state[e.variable]
			switch {
			case e.barrier:
				state = map[uint32]since{}
				continue
			case e.write && s.read:
				found[fmt.Sprintf("%s: a write follows a read without a barrier", shared[e.variable])] = true
			case !e.write && s.written:
				found[fmt.Sprintf("%s: a read follows a write without a barrier", shared[e.variable])] = true
			}
			state[e.variable] = since{read: s.read || !e.write, written: s.written || e.write}
		}
		for _, next := range at.next(blocks[at.block]) {
			was, seen := states[next]
			merged := maps.Clone(was)
			if merged == nil {
				merged = map[uint32]since{}
			}
			for v, s := range state {
				merged[v] = since{read: merged[v].read || s.read, written: merged[v].written || s.written}
			}
			if !seen || !maps.Equal(merged, was) {
				states[next] = merged
				work = append(work, next)
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// blocksOf reads a module's basic blocks, and the first one of every entry point. A call ends a block, whose
// next is the called function's first.
func blocksOf(code []byte, shared map[uint32]string) (blocks map[uint32]*block, entries []uint32, err error) {
	blocks, root := map[uint32]*block{}, map[uint32]uint32{}
	for id := range shared {
		root[id] = id
	}
	var now *block
	var function uint32
	var entryPoints []uint32
	first, calls := map[uint32]uint32{}, map[*block]uint32{}
	access := func(pointer uint32, write bool) {
		if v, ok := root[pointer]; ok {
			now.events = append(now.events, event{variable: v, write: write})
		}
	}
	for at := 20; at < len(code); {
		word := func(i int) uint32 { return binary.LittleEndian.Uint32(code[at+4*i:]) }
		n, op := int(word(0)>>16), word(0)&0xffff
		switch op {
		case opEntryPoint:
			entryPoints = append(entryPoints, word(2))
		case opFunction:
			function = word(2)
		case opLabel:
			now = &block{}
			blocks[word(1)] = now
			if first[function] == 0 {
				first[function] = word(1)
			}
		case opAccessChain:
			if v, ok := root[word(3)]; ok {
				root[word(2)] = v
			}
		case opLoad, opMatrixLoad:
			access(word(3), false)
		case opStore, opMatrixStore:
			access(word(1), true)
		case opFunctionCall:
			for i := 4; i < n; i++ {
				if _, ok := root[word(i)]; ok {
					return nil, nil, fmt.Errorf("shaders: a function takes shared memory, which is not followed here")
				}
			}
			calls[now], now.after = word(3), word(2) // the call's result is an id that no label has
			now = &block{}
			blocks[word(2)] = now
		case opControlBarrier:
			now.events = append(now.events, event{barrier: true})
		case opBranch:
			now.to = []uint32{word(1)}
		case opBranchCond:
			now.to = []uint32{word(2), word(3)}
		case opReturn, opReturnValue:
			now.returns = true
		case opSwitch:
			return nil, nil, fmt.Errorf("shaders: a switch, which is not followed here")
		}
		at += 4 * n
	}
	for b, f := range calls {
		b.to = []uint32{first[f]}
	}
	for _, f := range entryPoints {
		entries = append(entries, first[f])
	}
	return blocks, entries, nil
}

// TestBarriers: every kernel has a barrier wherever lanes exchange values through shared memory.
func TestBarriers(t *testing.T) {
	exchanging := 0
	for _, v := range Variants {
		k, ok := Lookup(v.Name)
		if !ok {
			t.Fatalf("no kernel %s", v.Name)
		}
		found, err := hazards(k.Code)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		for _, h := range found {
			t.Errorf("%s: %s", v.Name, h)
		}
		if without := withoutBarrier(k.Code, 0); without != nil {
			exchanging++
		}
	}
	if exchanging < 4 {
		t.Errorf("only %d kernels have a barrier", exchanging)
	}
}

// TestEveryBarrierOfKernelsCounts takes out each barrier of each kernel, one at a time: each is missed.
func TestEveryBarrierOfKernelsCounts(t *testing.T) {
	for _, v := range Variants {
		k, _ := Lookup(v.Name)
		for i := 0; ; i++ {
			code := withoutBarrier(k.Code, i)
			if code == nil {
				break
			}
			found, err := hazards(code)
			if err != nil || len(found) == 0 {
				t.Errorf("%s without its barrier %d: found %v, %v; want it missed", v.Name, i, found, err)
			}
			t.Logf("%s without its barrier %d: %s", v.Name, i, strings.Join(found, "; "))
		}
	}
}

// withoutBarrier returns the module without its barrier number i, or nil if it has no more than i.
func withoutBarrier(code []byte, i int) []byte {
	for at := 20; at < len(code); {
		word := binary.LittleEndian.Uint32(code[at:])
		n := 4 * int(word>>16)
		if word&0xffff == opControlBarrier {
			if i == 0 {
				return slices.Concat(code[:at], code[at+n:])
			}
			i--
		}
		at += n
	}
	return nil
}
