// A second implementation of the log's mathematics: golang.org/x/mod/sumdb checks what ours made.
//
// Reads test cases in the form of transparency-dev/merkle (JSON objects, one a line) and ends with status 0
// when its own judgement of each is the one that the case expects.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type testCase struct {
	Kind     string   // "inclusion", "consistency" or "note"
	LeafIdx  int64    `json:"leafIdx"`
	TreeSize int64    `json:"treeSize"`
	Root     []byte   `json:"root"`
	LeafHash []byte   `json:"leafHash"`
	Proof    [][]byte `json:"proof"`
	Size1    int64    `json:"size1"`
	Size2    int64    `json:"size2"`
	Root1    []byte   `json:"root1"`
	Root2    []byte   `json:"root2"`
	Note     string   `json:"note"`
	Key      string   `json:"key"`
	WantErr  bool     `json:"wantErr"`
}

func hash(data []byte) (h tlog.Hash) {
	copy(h[:], data)
	return h
}

func hashes(data [][]byte) (list []tlog.Hash) {
	for _, one := range data {
		list = append(list, hash(one))
	}
	return list
}

func check(c testCase) error {
	switch c.Kind {
	case "inclusion":
		return tlog.CheckRecord(hashes(c.Proof), c.TreeSize, hash(c.Root), c.LeafIdx, hash(c.LeafHash))
	case "consistency":
		return tlog.CheckTree(hashes(c.Proof), c.Size2, hash(c.Root2), c.Size1, hash(c.Root1))
	case "note":
		verifier, err := note.NewVerifier(c.Key)
		if err != nil {
			return err
		}
		_, err = note.Open([]byte(c.Note), note.VerifierList(verifier))
		return err
	}
	return fmt.Errorf("unknown kind %q", c.Kind)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	count, wrong := 0, 0
	for lines.Scan() {
		var c testCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			fmt.Println(err)
			os.Exit(2)
		}
		count++
		if err := check(c); (err != nil) != c.WantErr {
			fmt.Printf("%s: %v\n", lines.Text(), err)
			wrong++
		}
	}
	fmt.Printf("%d cases, %d mismatches\n", count, wrong)
	if wrong > 0 || lines.Err() != nil {
		os.Exit(1)
	}
}
