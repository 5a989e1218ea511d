// Prints a time UUID every 2 ms. Go makes its system calls itself, so libfaketime does not reach it.
package main

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

func main() {
	for {
		fmt.Println(uuid.Must(uuid.NewUUID()))
		time.Sleep(2 * time.Millisecond)
	}
}
