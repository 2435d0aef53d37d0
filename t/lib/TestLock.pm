package TestLock;

# A lock for stand-ins: a file that one process at a time has.

use v5.36;

use Exporter qw(import);
use Fcntl qw(:flock O_RDWR O_CREAT);
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(with_flock);

# At most $timeout seconds to get it, none for the code.
sub with_flock ($path, $timeout, $code, $too_late) {
    sysopen my $file, $path, O_RDWR | O_CREAT or die "can't open file '$path': $!\n";
    my $end = time + $timeout;
    while (!flock $file, LOCK_EX | LOCK_NB) {
        die $too_late if time >= $end;
        sleep 0.05;
    }
    return $code->();
}

1;
