// Package value is the values that pipelines are about: parameters, items, arguments, results. They are
// those of JSON. In Go they are nil, bool, string, []any, map[string]any, and numbers:
//
//	int          a whole number that an int holds
//	json.Number  a larger whole number, as its digits; it is passed on exactly, not computed with
//	float64      every other number; never NaN or infinite
//
// A number written with a fraction or an exponent is a float64, so 1.10 is the same value as 1.1.
//
// [Normalize] brings other Go values into this form, and [Canonical] writes it in the one way that keys are
// computed from.
package value
