package PVE::Storage::DirPlugin;

# Stand-in: a built-in type beside ours, with some of the keys that the real one owns.

use v5.36;

use base qw(PVE::Storage::Plugin);

sub type ($class) { return 'dir' }

sub plugindata ($class) {
    return {
        content => [{ map { $_ => 1 } qw(images rootdir vztmpl iso backup snippets none) }, { images => 1 }]
    };
}

sub properties ($class) {
    return {
        path => { type => 'string' },
        bwlimit => { type => 'string' },
        mkdir => { type => 'boolean' },
        is_mountpoint => { type => 'string' },
    };
}

sub options ($class) {
    return {
        path => { fixed => 1 },
        map { $_ => { optional => 1 } } qw(nodes disable content shared bwlimit mkdir is_mountpoint),
    };
}

sub activate_storage ($class, @) { return 1 }
sub status ($class, @) { return (10 << 30, 9 << 30, 1 << 30, 1) }
sub list_images ($class, @) { return [] }

1;
