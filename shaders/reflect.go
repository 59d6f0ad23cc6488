package shaders

import (
	"encoding/binary"
	"fmt"
	"math"
	"sort"
)

// Reflection is what a SPIR-V module says of its interface.
type Reflection struct {
	Bindings  []Binding   // set 0, by binding number, without gaps
	PushBytes int         // size of the push-constant block
	Spec      []SpecConst // by ID; an ID that is declared twice is listed once
}

// Binding is a buffer of set 0.
type Binding struct {
	Name  string // of the block, or of the texel buffer
	Write bool   // not declared readonly
	Texel bool   // a uniform texel buffer, else a storage buffer
}

// SpecConst is a specialization constant.
type SpecConst struct {
	ID      uint32
	Name    string // "" for the workgroup size's own constants
	Default uint32 // its bits; 0 or 1 for a bool
}

// SPIR-V numbers used here (SPIR-V specification, sections 3.20 Decoration and 3.52 Instructions).
const (
	spirvMagic = 0x07230203

	opName             = 5
	opTypeInt          = 21
	opTypeFloat        = 22
	opTypeVector       = 23
	opTypeImage        = 25
	opTypeSampledImage = 27
	opTypeStruct       = 30
	opTypePointer      = 32
	opSpecConstTrue    = 48
	opSpecConstFalse   = 49
	opSpecConst        = 50
	opVariable         = 59
	opDecorate         = 71
	opMemberDecorate   = 72

	dimBuffer = 5 // of an image

	decSpecID        = 1
	decNonWritable   = 24
	decBinding       = 33
	decDescriptorSet = 34
	decOffset        = 35

	classUniformConstant = 0
	classPushConstant    = 9
	classStorageBuffer   = 12
)

// Reflect reads a module's interface. The module must be valid: glslang's output is.
func Reflect(code []byte) (Reflection, error) {
	m, err := parseModule(code)
	if err != nil {
		return Reflection{}, err
	}
	var r Reflection
	byBinding := map[uint32]Binding{}
	for id, v := range m.variables {
		block := m.pointee[v.typ]
		switch v.class {
		case classPushConstant:
			r.PushBytes, err = m.structSize(block)
			if err != nil {
				return r, err
			}
		case classStorageBuffer, classUniformConstant:
			b := Binding{Name: m.names[id], Texel: true}
			if v.class == classStorageBuffer {
				_, readonly := m.members[block][0][decNonWritable]
				b = Binding{Name: m.names[block], Write: !readonly}
			} else if !m.texels[block] {
				return r, fmt.Errorf("shaders: %s is neither a storage buffer nor a texel buffer", b.Name)
			}
			if set := m.decorations[id][decDescriptorSet]; set != 0 {
				return r, fmt.Errorf("shaders: buffer %s is in set %d, want 0", b.Name, set)
			}
			byBinding[m.decorations[id][decBinding]] = b
		}
	}
	for i := range uint32(len(byBinding)) {
		b, ok := byBinding[i]
		if !ok {
			return r, fmt.Errorf("shaders: binding %d is missing of %d", i, len(byBinding))
		}
		r.Bindings = append(r.Bindings, b)
	}
	r.Spec = m.specConstants()
	return r, nil
}

type variable struct{ typ, class uint32 }

type module struct {
	names       map[uint32]string
	decorations map[uint32]map[uint32]uint32
	members     map[uint32]map[uint32]map[uint32]uint32 // struct, member, decoration
	structs     map[uint32][]uint32
	sizes       map[uint32]int  // of scalars and vectors, bytes
	texels      map[uint32]bool // types of texel buffers, and of images of other kinds with false
	pointee     map[uint32]uint32
	variables   map[uint32]variable
	spec        map[uint32]uint32 // default bits
}

func parseModule(code []byte) (*module, error) {
	if len(code)%4 != 0 || len(code) < 20 || binary.LittleEndian.Uint32(code) != spirvMagic {
		return nil, fmt.Errorf("shaders: not a little-endian SPIR-V module")
	}
	words := make([]uint32, len(code)/4)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(code[4*i:])
	}
	m := &module{names: map[uint32]string{}, decorations: map[uint32]map[uint32]uint32{},
		members: map[uint32]map[uint32]map[uint32]uint32{}, structs: map[uint32][]uint32{}, sizes: map[uint32]int{}, texels: map[uint32]bool{},
		pointee: map[uint32]uint32{}, variables: map[uint32]variable{}, spec: map[uint32]uint32{}}
	for at := 5; at < len(words); {
		n, op := int(words[at]>>16), words[at]&0xffff
		if n == 0 || at+n > len(words) {
			return nil, fmt.Errorf("shaders: SPIR-V instruction at word %d runs past the end", at)
		}
		m.instruction(op, words[at+1:at+n])
		at += n
	}
	return m, nil
}

func (m *module) instruction(op uint32, a []uint32) {
	switch op {
	case opName:
		m.names[a[0]] = literalString(a[1:])
	case opTypeInt, opTypeFloat:
		m.sizes[a[0]] = int(a[1] / 8)
	case opTypeVector:
		m.sizes[a[0]] = m.sizes[a[1]] * int(a[2])
	case opTypeImage: // result, sampled type, dimensionality, …
		m.texels[a[0]] = a[2] == dimBuffer
	case opTypeSampledImage:
		m.texels[a[0]] = m.texels[a[1]]
	case opTypeStruct:
		m.structs[a[0]] = a[1:]
	case opTypePointer:
		m.pointee[a[0]] = a[2]
	case opVariable:
		m.variables[a[1]] = variable{typ: a[0], class: a[2]}
	case opSpecConst:
		m.spec[a[1]] = a[2]
	case opSpecConstTrue:
		m.spec[a[1]] = 1
	case opSpecConstFalse:
		m.spec[a[1]] = 0
	case opDecorate:
		set(m.decorations, a[0], a[1:])
	case opMemberDecorate:
		if m.members[a[0]] == nil {
			m.members[a[0]] = map[uint32]map[uint32]uint32{}
		}
		set(m.members[a[0]], a[1], a[2:])
	}
}

func set(d map[uint32]map[uint32]uint32, id uint32, a []uint32) {
	if d[id] == nil {
		d[id] = map[uint32]uint32{}
	}
	v := uint32(0)
	if len(a) > 1 {
		v = a[1]
	}
	d[id][a[0]] = v
}

// structSize returns the size of a block of scalars and vectors.
func (m *module) structSize(id uint32) (int, error) {
	end := 0
	for i, typ := range m.structs[id] {
		size, ok := m.sizes[typ]
		if !ok {
			return 0, fmt.Errorf("shaders: member %d of %s is neither a scalar nor a vector", i, m.names[id])
		}
		end = max(end, int(m.members[id][uint32(i)][decOffset])+size)
	}
	return end, nil
}

func (m *module) specConstants() []SpecConst {
	byID := map[uint32]SpecConst{}
	for id, bits := range m.spec {
		specID, ok := m.decorations[id][decSpecID]
		if !ok {
			continue
		}
		if old, ok := byID[specID]; !ok || old.Name == "" {
			byID[specID] = SpecConst{ID: specID, Name: m.names[id], Default: bits}
		}
	}
	out := make([]SpecConst, 0, len(byID))
	for _, s := range byID {
		out = append(out, s)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}

func literalString(words []uint32) string {
	var b []byte
	for _, w := range words {
		for s := range 4 {
			c := byte(w >> (8 * s) & math.MaxUint8)
			if c == 0 {
				return string(b)
			}
			b = append(b, c)
		}
	}
	return string(b)
}
