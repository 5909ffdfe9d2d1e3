//go:build cuda

package gpu

import (
	"errors"
	"fmt"

	"gpudae/cuda"
	"gpudae/device"
)

// stagingBytes is the size of a piece of a copy.
const stagingBytes = 1 << 20

// staging is pinned memory through which copies in one direction pass, in pieces
// that take turns: while the device copies one, the host fills or reads the other.
type staging struct {
	pieces [2]*cuda.Pinned
	turn   int
}

func (s *staging) open(c *cuda.Context) error {
	for i := range s.pieces {
		var err error
		if s.pieces[i], err = c.NewPinned(stagingBytes); err != nil {
			return errors.Join(err, s.close())
		}
	}
	return nil
}

func (s *staging) close() error {
	var errs []error
	for i, p := range s.pieces {
		if p != nil {
			errs = append(errs, p.Close())
			s.pieces[i] = nil
		}
	}
	return errors.Join(errs...)
}

// next is the piece whose copy is the older.
func (s *staging) next() *cuda.Pinned {
	s.turn = 1 - s.turn
	return s.pieces[s.turn]
}

// Upload copies src to dst; it may return before the device has it.
func (d *Device) Upload(dst device.View, src []float32) error {
	mustEqualLength("upload", dst.Len(), len(src))
	return d.upload(cuda.Address(address(dst)), bytesOf(src))
}

// UploadWords copies src to dst; it may return before the device has it.
func (d *Device) UploadWords(dst device.Words, src []uint32) error {
	mustEqualLength("upload of words", dst.Len, len(src))
	return d.upload(cuda.Address(wordAddress(dst)), bytesOf(src))
}

// Download waits for the operations before it and copies src to dst.
func (d *Device) Download(dst []float32, src device.View) error {
	mustEqualLength("download", src.Len(), len(dst))
	return d.download(bytesOf(dst), cuda.Address(address(src)))
}

// DownloadWords waits for the operations before it and copies src to dst.
func (d *Device) DownloadWords(dst []uint32, src device.Words) error {
	mustEqualLength("download of words", src.Len, len(dst))
	return d.download(bytesOf(dst), cuda.Address(wordAddress(src)))
}

func (d *Device) upload(dst cuda.Address, src []byte) error {
	d.flush()
	if d.recording != nil {
		d.fail(fmt.Sprintf("copying %d bytes to the device", len(src)), errRecording)
	}
	for len(src) > 0 && d.err == nil {
		piece := d.toDevice.next()
		err := piece.Wait()
		n := copy(piece.Bytes, src)
		if err == nil {
			err = piece.CopyToDevice(dst, n)
		}
		if err != nil {
			d.failLater(fmt.Sprintf("copying %d bytes to the device", len(src)), err)
		}
		dst, src = dst+cuda.Address(n), src[n:]
	}
	return d.err
}

// download keeps one piece on its way while it reads the one before.
func (d *Device) download(dst []byte, src cuda.Address) error {
	d.flush()
	if d.recording != nil {
		d.fail(fmt.Sprintf("copying %d bytes from the device", len(dst)), errRecording)
	}
	var before *cuda.Pinned // holds the first bytes of dst
	size, total := 0, len(dst)
	for (len(dst) > 0 || before != nil) && d.err == nil {
		piece, n := d.toHost.next(), min(len(dst)-size, stagingBytes)
		var err error
		if n > 0 {
			err = piece.CopyFromDevice(src, n)
		} else {
			piece = nil
		}
		if err == nil && before != nil {
			err = before.Wait()
			copy(dst, before.Bytes[:size])
			dst = dst[size:]
		}
		if err != nil {
			d.failLater(fmt.Sprintf("copying %d bytes from the device", total), err)
		}
		before, size, src = piece, n, src+cuda.Address(n)
	}
	if d.err == nil && total > 0 {
		d.suspects.clear()
	}
	return d.err
}
