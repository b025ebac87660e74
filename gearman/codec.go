package gearman

import (
	"bytes"
	"encoding/json"
)

// Codec turns values into payloads and back. Its methods are called from many goroutines at once.
type Codec[T any] interface {
	// Append appends v's encoding to dst and returns the result.
	Append(dst []byte, v T) ([]byte, error)
	// Decode reads a value from p. The value may keep p.
	Decode(p []byte) (T, error)
}

// codecFor is the default: strings and byte slices as they are, everything else JSON.
func codecFor[T any]() Codec[T] {
	switch any(*new(T)).(type) {
	case string:
		return any(stringCodec{}).(Codec[T])
	case []byte:
		return any(bytesCodec{}).(Codec[T])
	}
	return jsonCodec[T]{}
}

type stringCodec struct{}

func (stringCodec) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (stringCodec) Decode(p []byte) (string, error)             { return string(p), nil }

type bytesCodec struct{}

func (bytesCodec) Append(dst, v []byte) ([]byte, error) { return append(dst, v...), nil }
func (bytesCodec) Decode(p []byte) ([]byte, error)      { return p, nil }

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Append(dst []byte, v T) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return dst, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}), nil
}

func (jsonCodec[T]) Decode(p []byte) (v T, err error) {
	err = json.Unmarshal(p, &v)
	return v, err
}
