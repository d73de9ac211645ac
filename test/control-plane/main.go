// Command control-plane is etcd, kube-apiserver and kube-controller-manager in one program, for the tests that want the
// real thing. Its name chooses which it is, so a folder with three links to it is what KUBEBUILDER_ASSETS names. The
// three share nearly all of their code: one program is linked in a third of the time and takes a third of the disk.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

var programs = map[string]func(args []string){
	"etcd":                    etcdmain.Main,
	"kube-apiserver":          running(apiserver.NewAPIServerCommand),
	"kube-controller-manager": running(controllermanager.NewControllerManagerCommand),
}

func running(command func() *cobra.Command) func([]string) {
	return func([]string) { os.Exit(cli.Run(command())) }
}

func main() {
	name := filepath.Base(os.Args[0])
	program, known := programs[name]
	if !known {
		fmt.Fprintf(os.Stderr, "%s: call it by the name of what it shall be: etcd, kube-apiserver or kube-controller-manager\n", name)
		os.Exit(2)
	}
	program(os.Args)
}
