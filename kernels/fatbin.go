package kernels

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Image is one form of the kernels inside a fatbin.
type Image struct {
	PTX  bool // to be compiled by the driver; otherwise machine code
	SM   int  // the architecture, as in sm_90
	Only bool // for no other architecture, as sm_90a is, whose instructions later ones lack
}

// String formats the image as sm_90, sm_90a or compute_90.
func (i Image) String() string {
	name := fmt.Sprintf("sm_%d", i.SM)
	if i.PTX {
		name = fmt.Sprintf("compute_%d", i.SM)
	}
	if i.Only {
		name += "a"
	}
	return name
}

// RunsOn reports whether a device of a compute capability (9, 0 for sm_90) can
// run the image: machine code runs on its major version from its minor version
// on, PTX on everything later, what is for one architecture only on that.
func (i Image) RunsOn(major, minor int) bool {
	if i.Only {
		return 10*major+minor == i.SM
	}
	if i.PTX {
		return 10*major+minor >= i.SM
	}
	return i.SM/10 == major && i.SM%10 <= minor
}

const (
	fatbinMagic  = 0xBA55ED50
	fatbinHeader = 16 // magic, version and header size (2+2 bytes), size of the rest (8)
	imageHeader  = 64 // at least; holds kind (2), version (2), header size (4), size (8), ..., architecture at 28 (4), flags at 40 (8)
	kindPTX      = 1
	kindCubin    = 2
	onlyFlag     = 1 << 20
)

// Images lists what a fatbin holds.
func Images(fatbin []byte) ([]Image, error) {
	if len(fatbin) < fatbinHeader || binary.LittleEndian.Uint32(fatbin) != fatbinMagic {
		return nil, errors.New("kernels: not a fatbin")
	}
	var images []Image
	for rest := fatbin[fatbinHeader:]; len(rest) > 0; {
		if len(rest) < imageHeader {
			return nil, fmt.Errorf("kernels: fatbin ends in the header of image %d", len(images)+1)
		}
		kind := binary.LittleEndian.Uint16(rest)
		header, size := uint64(binary.LittleEndian.Uint32(rest[4:])), binary.LittleEndian.Uint64(rest[8:])
		if header < imageHeader || header > uint64(len(rest)) || size > uint64(len(rest))-header {
			return nil, fmt.Errorf("kernels: image %d of the fatbin has %d+%d bytes of %d", len(images)+1, header, size, len(rest))
		}
		if kind == kindPTX || kind == kindCubin {
			images = append(images, Image{PTX: kind == kindPTX, SM: int(binary.LittleEndian.Uint32(rest[28:])),
				Only: binary.LittleEndian.Uint64(rest[40:])&onlyFlag != 0})
		}
		rest = rest[header+size:]
	}
	return images, nil
}
