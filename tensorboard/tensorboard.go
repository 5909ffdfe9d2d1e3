// Package tensorboard writes event files: what TensorBoard shows of a run.
//
//	w, err := tensorboard.Create(dir, time.Now())
//	err = w.Write(time.Now(), step, tensorboard.Scalar("loss/train", 0.3))
//	err = w.Close()
//
// A file is a sequence of records (TFRecord: length and content, each with a
// masked CRC-32C), and a record is a message Event of TensorFlow's event.proto. A
// file is only ever added to, a record in one write, so that what a crash leaves is
// whole but for its last record, which readers take as the end. A run that goes on
// opens another file: TensorBoard joins those of a folder by their names.
//
// The package must not know models, training or figures.
package tensorboard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Pattern matches the names of the files that Create makes.
const Pattern = "events.out.tfevents.*.gpudae*"

// Writer adds to an event file. Its methods must not be called at the same time.
type Writer struct {
	file *os.File
	size int64
}

// Create makes an event file in dir that no other has, named after the time.
func Create(dir string, at time.Time) (*Writer, error) {
	name := filepath.Join(dir, fmt.Sprintf("events.out.tfevents.%010d.gpudae", at.Unix()))
	path := name
	for n := 2; ; n++ {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, fs.ErrExist) {
			path = fmt.Sprintf("%s.%d", name, n)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("making an event file: %w", err)
		}
		w := &Writer{file: file}
		if err := w.append(versionEvent(at)); err != nil {
			file.Close()
			os.Remove(path)
			return nil, err
		}
		return w, nil
	}
}

// Path is the file's name.
func (w *Writer) Path() string { return w.file.Name() }

// Write adds the values of a step in one record. Without a value it adds nothing.
func (w *Writer) Write(at time.Time, step uint64, values ...Value) error {
	if len(values) == 0 {
		return nil
	}
	return w.append(event(at, step, values))
}

// Close flushes the file to the disk and closes it.
func (w *Writer) Close() error {
	err := w.file.Sync()
	if closed := w.file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("closing an event file: %w", err)
	}
	return nil
}

// append adds a record, or, if it does not fit on the disk, nothing.
func (w *Writer) append(content []byte) error {
	line := record(content)
	if _, err := w.file.WriteAt(line, w.size); err != nil {
		err = fmt.Errorf("writing an event: %w", err)
		if failure := w.file.Truncate(w.size); failure != nil {
			return fmt.Errorf("%w; its last record is incomplete: %w", err, failure)
		}
		return err
	}
	w.size += int64(len(line))
	return nil
}

// record frames content as a TFRecord: its length in 8 bytes and the masked CRC of
// these, the content and its masked CRC, all little-endian.
func record(content []byte) []byte {
	line := binary.LittleEndian.AppendUint64(make([]byte, 0, len(content)+16), uint64(len(content)))
	line = binary.LittleEndian.AppendUint32(line, masked(line))
	line = append(line, content...)
	return binary.LittleEndian.AppendUint32(line, masked(content))
}

// maskDelta is the constant of TFRecord's mask.
const maskDelta = 0xa282ead8

// masked is the CRC-32C of text, rotated right by 15 bits, plus maskDelta: so that
// the CRC of text that holds CRCs is not one of their artefacts.
func masked(text []byte) uint32 {
	crc := crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli))
	return (crc>>15 | crc<<17) + maskDelta
}
