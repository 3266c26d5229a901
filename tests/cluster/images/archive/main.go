// Command archive writes an image of one static program, as `docker save` would: containerd and skopeo read that.
//
//	archive NAME PROGRAM FILE.tar
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: archive NAME PROGRAM FILE.tar")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "archive:", err)
		os.Exit(1)
	}
}

type object = map[string]any

func write(name, program, file string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	inside := filepath.Base(program)
	layer, err := pack(entry{inside, 0o755, content})
	if err != nil {
		return err
	}
	config, err := json.Marshal(object{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       object{"Entrypoint": []string{"/" + inside}, "WorkingDir": "/"},
		"rootfs":       object{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	})
	if err != nil {
		return err
	}
	layerFile, configFile := digest(layer)+"/layer.tar", digest(config)+".json"
	manifest, err := json.Marshal([]object{{"Config": configFile, "RepoTags": []string{name}, "Layers": []string{layerFile}}})
	if err != nil {
		return err
	}
	archive, err := pack(entry{configFile, 0o644, config}, entry{layerFile, 0o644, layer}, entry{"manifest.json", 0o644, manifest})
	if err != nil {
		return err
	}
	return os.WriteFile(file, archive, 0o644)
}

type entry struct {
	name    string
	mode    int64
	content []byte
}

func pack(entries ...entry) ([]byte, error) {
	var packed bytes.Buffer
	writer := tar.NewWriter(&packed)
	for _, entry := range entries {
		header := &tar.Header{Name: entry.name, Mode: entry.mode, Size: int64(len(entry.content)), Typeflag: tar.TypeReg}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(entry.content); err != nil {
			return nil, err
		}
	}
	err := writer.Close()
	return packed.Bytes(), err
}

func digest(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }
