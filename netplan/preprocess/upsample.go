package preprocess

// plane is one colour component: w×h samples, each standing for sx×sy pixels.
type plane struct {
	pix          []uint8
	stride, w, h int
	sx, sy       int
	triangle     bool // interpolated, if the ratio is 2
	wide         bool // the component has more than two columns
}

// upsampler makes full-width rows of a plane as libjpeg's "fancy" upsampling does: a triangle filter,
// 3/4 of the nearer sample and 1/4 of the further one, in each subsampled dimension, with its rounding.
// Edge samples stand in for those outside. Ratios other than 2, planes of at most two columns, and pictures of which
// one sample is left of each block, repeat samples.
type upsampler struct {
	p   *plane
	out []uint8
}

func newUpsampler(p *plane, width int) upsampler {
	u := upsampler{p: p}
	if p.sx != 1 || p.sy != 1 {
		u.out = make([]uint8, max(width, p.w*p.sx)+p.sx)
	}
	return u
}

// row returns the samples of pixel row y; they are valid until the next call.
func (u *upsampler) row(y int) []uint8 {
	p := u.p
	near := y / p.sy
	in := p.pix[near*p.stride : near*p.stride+p.w]
	far := near - 1
	if p.sy == 2 && y&1 == 1 {
		far = near + 1
	}
	far = min(max(far, 0), p.h-1)
	other := p.pix[far*p.stride : far*p.stride+p.w]
	switch {
	case p.sx == 1 && p.sy == 1:
		return in
	case p.sx == 2 && p.sy == 1 && p.triangle && p.wide:
		u.h2v1(in)
	case p.sx == 2 && p.sy == 2 && p.triangle && p.wide:
		u.h2v2(in, other)
	case p.sx == 1 && p.sy == 2 && p.triangle:
		bias := int32(1)
		if y&1 == 1 {
			bias = 2
		}
		for x, v := range in {
			u.out[x] = uint8((3*int32(v) + int32(other[x]) + bias) >> 2)
		}
	default:
		for x, v := range in {
			for i := range p.sx {
				u.out[x*p.sx+i] = v
			}
		}
	}
	return u.out
}

func (u *upsampler) h2v1(in []uint8) {
	n := len(in)
	out := u.out[:2*n]
	last := int32(in[0])
	c := last
	for x, v := range in[1:] {
		next := int32(v)
		o := out[2*x : 2*x+2 : 2*x+2]
		o[0] = uint8((3*c + last + 1) >> 2)
		o[1] = uint8((3*c + next + 2) >> 2)
		last, c = c, next
	}
	out[2*n-2] = uint8((3*c + last + 1) >> 2)
	out[2*n-1] = uint8(c)
}

func (u *upsampler) h2v2(near, far []uint8) {
	n := len(near)
	far = far[:n]
	out := u.out[:2*n]
	last := 3*int32(near[0]) + int32(far[0])
	c := last
	for x := range n - 1 {
		next := 3*int32(near[x+1]) + int32(far[x+1])
		o := out[2*x : 2*x+2 : 2*x+2]
		o[0] = uint8((3*c + last + 8) >> 4)
		o[1] = uint8((3*c + next + 7) >> 4)
		last, c = c, next
	}
	out[2*n-2] = uint8((3*c + last + 8) >> 4)
	out[2*n-1] = uint8((4*c + 7) >> 4)
}
