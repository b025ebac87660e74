package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/geartrain/geartrain/gearman"
)

// operands are the two numbers of an expression.
type operands struct{ Left, Right float64 }

// operation is what one worker does: a sign, and the function behind it.
type operation struct {
	sign     string
	function gearman.Func[operands, float64]
	compute  func(operands) (float64, error)
}

func operations() []operation {
	return []operation{
		{"+", gearman.NewFunc[operands, float64]("add"), add},
		{"-", gearman.NewFunc[operands, float64]("subtract"), subtract},
		{"*", gearman.NewFunc[operands, float64]("multiply"), multiply},
		{"/", gearman.NewFunc[operands, float64]("divide"), divide},
	}
}

var errDivision = errors.New("division by zero")

func add(o operands) (float64, error)      { return o.Left + o.Right, nil }
func subtract(o operands) (float64, error) { return o.Left - o.Right, nil }
func multiply(o operands) (float64, error) { return o.Left * o.Right, nil }

func divide(o operands) (float64, error) {
	if o.Right == 0 {
		return 0, errDivision
	}
	return o.Left / o.Right, nil
}

// parse reads an expression such as 2+3, -7*6 or 8/2: a number, a sign, a number.
func parse(text string) (operation, operands, error) {
	for _, op := range operations() {
		at := strings.Index(text[min(1, len(text)):], op.sign) + 1 // the first byte may be a minus
		if at == 0 {
			continue
		}
		left, err := strconv.ParseFloat(text[:at], 64)
		if err != nil {
			continue
		}
		right, err := strconv.ParseFloat(text[at+1:], 64)
		if err != nil {
			continue
		}
		return op, operands{left, right}, nil
	}
	return operation{}, operands{}, fmt.Errorf("%q is not NUMBER+NUMBER, NUMBER-NUMBER, NUMBER*NUMBER or NUMBER/NUMBER", text)
}
