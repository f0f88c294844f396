// Reads a published log with Go's own sumdb packages, which know nothing of Chopmark.
//
// usage: main VERIFIER-KEY FOLDER [OLD-CHECKPOINT-FILE]
//
// Opens the signed note, reads every entry bundle, asks the authenticating tile reader for every
// entry's hash, proves entries and older trees, and ends with 1 at the first thing that is wrong.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func die(what string, err error) {
	fmt.Printf("refused: %s: %v\n", what, err)
	os.Exit(1)
}

type folder string

func (f folder) Height() int { return 8 }

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		// tlog-tiles has no height in its paths: tile/8/0/000 is tile/0/000 there.
		data, err := os.ReadFile(filepath.Join(string(f), strings.Replace(t.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (f folder) SaveTiles(tiles []tlog.Tile, data [][]byte) {}

func checkpoint(file string, verifier note.Verifier) tlog.Tree {
	text, err := os.ReadFile(file)
	if err != nil {
		die("checkpoint", err)
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		die("checkpoint", err)
	}
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || lines[0] != verifier.Name() {
		die("checkpoint", fmt.Errorf("%q", lines))
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		die("checkpoint root", err)
	}
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	return tree
}

func bundle(dir string, n int64, width int64) [][]byte {
	tile := tlog.Tile{H: 8, L: 0, N: n, W: int(width)}
	path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
	data, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		die("bundle", err)
	}
	var entries [][]byte
	for len(data) > 0 {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			die("bundle", fmt.Errorf("%s ends inside an entry", path))
		}
		length := int(binary.BigEndian.Uint16(data))
		entries = append(entries, data[2:2+length])
		data = data[2+length:]
	}
	if int64(len(entries)) != width {
		die("bundle", fmt.Errorf("%s holds %d entries", path, len(entries)))
	}
	return entries
}

func main() {
	verifier, err := note.NewVerifier(os.Args[1])
	if err != nil {
		die("verifier key", err)
	}
	dir := os.Args[2]
	tree := checkpoint(filepath.Join(dir, "checkpoint"), verifier)
	reader := tlog.TileHashReader(tree, folder(dir))

	var index int64
	proofs := 0
	for n := int64(0); n*256 < tree.N; n++ {
		width := tree.N - n*256
		if width > 256 {
			width = 256
		}
		for _, entry := range bundle(dir, n, width) {
			hash := tlog.RecordHash(entry)
			hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
			if err != nil {
				die("tile", err)
			}
			if hashes[0] != hash {
				die("entry", fmt.Errorf("entry %d is not the one in the tree", index))
			}
			if index%37 == 0 || index == tree.N-1 {
				proof, err := tlog.ProveRecord(tree.N, index, reader)
				if err != nil {
					die("proof", err)
				}
				if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, hash); err != nil {
					die("proof", err)
				}
				proofs++
			}
			index++
		}
	}
	if len(os.Args) > 3 {
		old := checkpoint(os.Args[3], verifier)
		proof, err := tlog.ProveTree(tree.N, old.N, reader)
		if err != nil {
			die("consistency", err)
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
			die("consistency", err)
		}
	}
	fmt.Printf("accepted %d entries, %d proofs\n", index, proofs)
}
