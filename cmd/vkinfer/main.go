// Command vkinfer classifies pictures with the knapsack-pruned EfficientNets on any GPU through Vulkan,
// and shows, checks and measures how it does so.
//
// Results go to standard output, everything else to standard error. The exit status is 0 when all went
// well, 1 when part of the work failed and the rest was done, 2 when the command line or a file it names
// cannot be used and nothing was run, 3 when something ran and a check failed, 4 when no device or
// feature serves, and 130 when interrupted.
//
// There is a file per subcommand. They hold no inference of their own: that is the module's root package.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
