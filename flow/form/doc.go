// Package form is pipelines as YAML files. [LoadFile] makes a [flow.Plan] of one, or says everything that is
// wrong with it at once, each thing with its place.
//
//	name: words
//	params: {folder: texts, at_least: 2}
//	stages:
//	  - name: list
//	    run: [ls, "${{ params.folder }}"] # without a shell; as one text it is a script, which has no ${{ }}
//	    output: lines
//	  - name: count                       # begins when all that it reads is there
//	    function: count                   # of some worker; one job for each item
//	    for_each: ${{ flatten(stages.list.results) }}
//	    args: {file: "${{ item }}", at_least: "${{ params.at_least }}"}
//	    retry: {attempts: 3, delay: 1s}
//	on_failure:
//	  - run: ./tell.sh
//
// Which keys there are, and what each means, stands in one table, which the reader, its hints and the JSON
// Schema for editors ([Schema]) are made of. [flow/expression] is what may stand in ${{ }}. Every value is
// read strictly: an unknown key is an error, and a text that other YAML readers take for a number or a
// boolean is text, with a warning.
//
// # Reading order
//
// document is the reader of YAML beneath: nodes and problems with their places. schema.go is the table of keys.
// loader.go begins a file, plan.go reads its top, stage.go its stages, values.go single values.
// validate.go is the checks that need the whole pipeline.
//
// [flow/expression]: https://pkg.go.dev/github.com/geartrain/geartrain/flow/expression
package form
