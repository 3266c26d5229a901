module testfleet.dev/cluster/images

go 1.24.0
