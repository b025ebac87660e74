// Package disk is a store in a folder: a log of checksummed batches in numbered segments, and an index of
// it in memory. It syncs before it says that something is stored, sets damage aside instead of giving it
// away, gets along with a full disk, and writes what is still in use anew when most of a segment is not.
//
// # The folder
//
//	DIR/                    0700
//	  lock                  held by the server that has the folder open; says who
//	  0000000001.log        segments, 0600: only the one with the highest number is written to
//	  0000000002.log
//	  0000000003.log.new    being made; a start removes it
//	  segments              which of them there should be
//	  damaged/              copies of damaged parts: SEGMENT-OFFSET; files that are not of the log
//
// # A segment
//
// All numbers are little endian. Every checksum is CRC-32C.
//
//	┌────────┬────────┬───────┬───────┬─ ─ ─┬───────┬──────────────────────────┐
//	│ header │ header │ frame │ frame │     │ frame │ zeros, at least one      │
//	│        │ again  │       │       │     │       │                          │
//	└────────┴────────┴───────┴───────┴─ ─ ─┴───────┴──────────────────────────┘
//	0        64       128                           a multiple of 8
//
//	header   0  magic "gearlog\n"
//	         8  u32 version: 1
//	        12  u32 checksum of the other 60 bytes
//	        16  u64 the log: a random number, the same in all segments of a folder
//	        24  u64 the segment's number, as in its name
//	        32  u64 the sequence number of its first frame
//	        40  zeros
//
// A frame is one Commit. It counts whole or not at all.
//
//	┌──────────────┬───────────────────────────────────┬─ ─ ─┬─────────┐
//	│ frame header │ entry header │ head │ body │ pad  │     │ trailer │
//	└──────────────┴───────────────────────────────────┴─ ─ ─┴─────────┘
//	0              40             80
//
//	frame    0  magic "FRM\n"
//	         4  u32 checksum of log, segment number and offset (u64 each), then of the other 36 bytes
//	         8  u64 length of the frame in all, a multiple of 8
//	        16  u64 sequence number: one more than that of the frame before
//	        24  u64 the last sequence number that was on stable storage when this was written
//	        32  u32 how many entries
//	        36  u32 1: written by the compaction; 2: the store was closed (no entries)
//
//	entry    0  magic "ENT", and 1: put, 2: another head, 3: delete
//	         4  u32 checksum, made like that of a frame
//	         8  u64 the record's number
//	        16  u32 length of the head that follows
//	        20  u32 length of the body: that follows; of another head: that is elsewhere
//	        24  u32 checksum of the head
//	        28  u32 checksum of the body that follows
//	        32  u32 u32 of another head: segment and offset / 8 of the entry with its body;
//	                of a delete: the first and the last segment that may have an entry of the record
//
//	trailer  "gearend\n": it does not end with a zero byte
//
// # The list of segments
//
// It begins with a copy of a header: how many segments there are is in place of the segment's number, and
// the last sequence number that was synced when it was written in place of its first frame's. Then 16
// bytes for each segment, and the checksum of those:
//
//	0  u32 number
//	4  u32 1: it was being removed, and need not be there
//	8  u64 the sequence number of its first frame
//
// It is replaced when there is a new segment, before one is removed, and by Close. A start finds by it what
// is missing, what was removed and is back, an end that was lost, and what a lost header said. Nothing
// depends on it: where there is no room for it, or in the folder of an older program, there is none.
//
// # The end of a segment, and damage
//
// A segment is made longer, with zeros, and synced before a frame is written where it was not yet. So a
// frame never needs a new file size to be found, and a start can tell apart:
//
//	zeros after the last frame        all is well
//	no byte after the last frame      the file was cut off: damage
//	bytes that are no frame, but some an unfinished write: it was promised to nobody, and zeros are
//	sector of it is still all zero    written over it without a word
//	bytes that are no frame, all else damage
//	bytes that are no frame, and      damage: what is written later says that this had been synced
//	a later frame, segment or list
//
// Of a damaged frame every entry that is in order by its own checksums is kept. The damaged part is named
// in the log, counted, and copied to the folder damaged; the segment is then compacted like others.
//
// A record whose last put is damaged is lost: an older one, a job in place of its result for instance,
// would be run again. So the compaction deletes it before the damaged segment goes.
//
// # The compaction and deletes
//
// Entries in use are written anew at the end of the log, as ordinary frames, under the lock of commits and
// only if they are still the last word on their records. When they are synced the old segment is removed,
// and the folder synced. A crash in between leaves entries twice, of which the later counts.
//
// A delete must stay as long as any segment may have an older entry of its record, or the record would be
// back after a start. So it carries the range of those segments, and is written anew like a record until
// none of them is left: a segment counts as there until its removal is on the disk.
//
// # What was not used
//
// Pebble, which was planned and measured, ends the process when the disk is full or a write of its
// manifest fails (cockroachdb/pebble#3427), by design, and one damaged block hides all its records. The
// promises here are a distinct error and recovery without a restart, and one damaged record named and set
// aside alone. Bodies need no order and records no range scans, so most of such an engine would be idle.
package disk
