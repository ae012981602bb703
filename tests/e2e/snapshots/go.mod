module aim-on-kubernetes/snapshots

go 1.26.8

require github.com/kubernetes-csi/external-snapshotter/client/v8 v8.7.0 // indirect
