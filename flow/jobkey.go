package flow

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"unicode/utf8"

	"github.com/geartrain/geartrain/flow/value"
)

// keyMaker makes the keys of one stage's jobs: those of [KeyParts], with what all of them begin with
// written once.
type keyMaker struct {
	prefix   []byte // ["f1",function,version,scope,
	encoding *base32.Encoding
}

func newKeyMaker(function, version, scope string) (keyMaker, error) {
	m := keyMaker{prefix: []byte{'['}}
	m.encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	for _, text := range []string{keyForm, function, version, scope} {
		var err error
		if m.prefix, err = value.AppendCanonicalText(m.prefix, text); err != nil {
			return keyMaker{}, err
		}
		m.prefix = append(m.prefix, ',')
	}
	return m, nil
}

// key is the key of the arguments, and a part of the hash that it is made of.
func (m *keyMaker) key(arguments item) (string, keyHash, error) {
	text := append(make([]byte, 0, len(m.prefix)+len(arguments.raw)+32), m.prefix...)
	text, err := arguments.appendArguments(text)
	if err != nil {
		return "", keyHash{}, err
	}
	sum := sha256.Sum256(append(text, ']'))
	key := m.encoding.AppendEncode(append(make([]byte, 0, 64), keyForm+"."...), sum[:])
	return string(key), keyHash(sum[:len(keyHash{})]), nil
}

// appendArguments appends the kind of the arguments and the arguments in canonical form.
func (it item) appendArguments(dst []byte) ([]byte, error) {
	switch {
	case it.form == noItem:
		return append(dst, `"`+KeyNone+`",null`...), nil
	case it.form == textItem && utf8.Valid(it.raw):
		return value.AppendCanonicalText(append(dst, `"`+KeyText+`",`...), string(it.raw))
	case it.form == textItem:
		dst = append(dst, `"`+KeyBytes+`","`...)
		return append(base64.StdEncoding.AppendEncode(dst, it.raw), '"'), nil
	}
	v, err := value.DecodeJSON(it.raw)
	if err != nil {
		return nil, err
	}
	return value.AppendCanonical(append(dst, `"`+KeyJSON+`",`...), v)
}
