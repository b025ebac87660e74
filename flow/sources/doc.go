// Package sources finds the files whose contents are part of a stage's keys: a path, or a pattern, in which
// ** stands for any folders. None of them is outside of its folder.
package sources
