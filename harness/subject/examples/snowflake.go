// An id generator for keyskew: it is told `next`, asks for the clock, and answers with a key.
package main

import ("bufio"; "fmt"; "os"; "strconv")

func main() {
	node, _ := strconv.ParseInt(append(os.Args, "0")[1], 10, 64)
	var last, seq int64
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println("clock wall") // in a real world time.Now() would do
		in.Scan()
		ns, _ := strconv.ParseInt(in.Text(), 10, 64)
		if ms := ns / 1000000; ms < last || ms == last && seq == 4095 {
			fmt.Println("refuse the clock went back or the sequence is used up")
		} else {
			if seq++; ms != last { seq = 0 }
			last = ms
			fmt.Println("key", (ms-1288834974657)<<22|node<<12|seq)
		}
	}
}
