// Package wording is what messages to people have in common: how they quote what is too long, and how they
// hint at what was meant.
package wording
