package PVE::RESTEnvironment;

# Stand-in: tasks and their warnings.

use v5.36;

use POSIX ();

# Tasks of this process that failed.
our $failed = 0;

sub log_warn ($message) {
    chomp $message;
    print {*STDERR} "WARN: $message\n";
    return;
}

# pve-contract.md section 3, "Worker model": a plain fork that ends by _exit, so without END blocks and destructors.
sub fork_worker ($class, $type, $id, $user, $code) {
    my $pid = fork // die "fork failed: $!\n";
    if (!$pid) {
        my $done = eval { $code->("$type:$$"); 1 };
        print {*STDERR} "TASK ERROR: $@" if !$done;
        POSIX::_exit($done ? 0 : 1);
    }
    waitpid $pid, 0;
    $failed++ if $?;
    return "UPID:standin:$pid:$type:";
}

1;
