// Prints the wall clock's milliseconds every 2 ms. It makes its system calls itself, so libfaketime does not reach it.
package main

import (
	"fmt"
	"time"
)

func main() {
	for {
		fmt.Println(time.Now().UnixMilli())
		time.Sleep(2 * time.Millisecond)
	}
}
