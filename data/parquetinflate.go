package data

import (
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	parquetformat "github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// checkInflation decompresses a page and fails unless it is as long as its header
// declares, which checkChunk has bounded. The decoder that follows takes whatever
// comes out, and for LZ4 doubles its memory until something does.
func checkInflation(codec parquetformat.CompressionCodec, page io.Reader, declared int64) error {
	var inflated io.Reader
	var err error
	switch codec {
	case parquetformat.Gzip:
		inflated, err = gzip.NewReader(page)
	case parquetformat.Brotli:
		inflated = brotli.NewReader(page)
	case parquetformat.Zstd:
		var z *zstd.Decoder
		if z, err = zstd.NewReader(page, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow)); err == nil {
			defer z.Close()
			inflated = z
		}
	case parquetformat.Snappy, parquetformat.Lz4Raw:
		return checkBlock(codec, page, declared)
	default: // not compressed, or by what the decoder refuses
		return nil
	}
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(inflated, declared+1))
	if err != nil {
		return err
	}
	return inflatesTo(n, declared)
}

// checkBlock is checkInflation for the formats that decompress at once.
func checkBlock(codec parquetformat.CompressionCodec, page io.Reader, declared int64) error {
	block, err := io.ReadAll(page)
	if err != nil {
		return err
	}
	n := 0
	if codec == parquetformat.Snappy {
		n, err = snappy.DecodedLen(block)
	} else {
		n, err = lz4.UncompressBlock(block, make([]byte, declared))
	}
	if err != nil {
		return err
	}
	return inflatesTo(int64(n), declared)
}

func inflatesTo(n, declared int64) error {
	if n == declared {
		return nil
	}
	return &Error{Problem: fmt.Sprintf("has a page that does not decompress to the %d bytes that it declares", declared), Remedy: remedyRewrite}
}

// compressedPart is what of a page of size bytes is compressed: in the second
// form the levels before the values are not.
func compressedPart(h *parquetformat.PageHeader, size int64) (skip, declared int64, ok bool) {
	declared = int64(h.UncompressedPageSize)
	if h.Type != parquetformat.DataPageV2 {
		return 0, declared, size > 0
	}
	v2 := &h.DataPageHeaderV2.V
	skip = int64(v2.RepetitionLevelsByteLength) + int64(v2.DefinitionLevelsByteLength)
	compressed := !v2.IsCompressed.Valid || v2.IsCompressed.V
	return skip, declared - skip, compressed && size > skip
}
