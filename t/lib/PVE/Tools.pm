package PVE::Tools;

# Stand-in: helpers that PVE's own modules take from here.

use v5.36;

use TestLock qw(with_flock);

sub split_list ($text) {
    return grep { length } split /[\s,;\0]+/, $text // '';
}

sub file_get_contents ($path) {
    open my $file, '<', $path or die "can't open '$path': $!\n";
    local $/ = undef;
    my $content = <$file> // '';
    close $file or die "can't read '$path': $!\n";
    return $content;
}

sub file_set_contents ($path, $content) {
    my $new = "$path.tmp.$$";
    open my $file, '>', $new or die "can't write '$new': $!\n";
    print {$file} $content or die "can't write '$new': $!\n";
    close $file or die "can't write '$new': $!\n";
    rename $new, $path or die "can't rename '$new': $!\n";
    return;
}

# pve-contract.md section 4: at most $timeout seconds to get it, none for the code.
sub lock_file ($path, $timeout, $code) {
    return with_flock($path, $timeout, $code, "can't lock file '$path' - got timeout\n");
}

1;
