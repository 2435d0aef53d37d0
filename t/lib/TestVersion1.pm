package TestVersion1;

# What the Perl plugin 1.1.7 would have taken, by its own rules and from the same node and NAS as the plugin under test. The
# numbers are lines of its TrueNASPlugin.pm. It read /dev/disk/by-path and asked `iscsiadm -m session`; both say no more than
# sysfs does, which the fake node has.

use v5.36;

use Exporter qw(import);

use TestNode qw(node_folder untaint);

our @EXPORT_OK = qw(device is_logged_in target_id listed freed);

sub _read ($path) {
    open my $file, '<', $path or return '';
    my $line = <$file> // '';
    return untaint($line =~ s/\n//r);
}

# Of each session: number, IQN, and the line of `iscsiadm -m session`.
sub _sessions () {
    my $class = node_folder() . '/sys/class';
    my @ids = map { /session(\d+)$/ ? $1 : () } map { untaint($_) } glob "$class/iscsi_session/session*";
    return map { _session($class, $_) } sort { $a <=> $b } @ids;
}

sub _session ($class, $id) {
    my $iqn = _read("$class/iscsi_session/session$id/targetname");
    my $connection = "$class/iscsi_connection/connection$id:0";
    my $portal = join ':', map { _read("$connection/persistent_$_") } qw(address port);
    return { id => $id, iqn => $iqn, line => "tcp: [$id] $portal,1 $iqn (non-flash)" };
}

# [2246-2273]: the first entry of by-path that ends in -iscsi-<IQN>-lun-<N>, whoever it is. Its name on this node, or nothing.
sub device ($iqn, $lun) {
    for my $session (grep { $_->{iqn} eq $iqn } _sessions()) {
        my ($block) = glob node_folder() . "/sys/class/scsi_device/$session->{id}:0:0:$lun/device/block/*";
        return untaint($block =~ s{.*/}{}r) if defined $block;
    }
    return;
}

# [2083-2168]: each portal is somewhere in a line, and the IQN somewhere behind it.
sub is_logged_in ($iqn, @portals) {
    my @lines = map { $_->{line} } _sessions();
    for my $portal (@portals) {
        return 0 if !grep { index($_, $portal) >= 0 && index($_, $iqn, index $_, $portal) >= 0 } @lines;
    }
    return 1;
}

# [1953-2024]: the first target that is ours by its full name, or whose name our IQN ends in.
sub target_id ($sim, $iqn) {
    my $base = $sim->by_hand('iscsi.global.config', [])->{basename};
    for my $target ($sim->by_hand('iscsi.target.query', [])->@*) {
        my $name = $target->{name};
        return $target->{id} if "$base:$name" eq $iqn || $iqn =~ /:\Q$name\E$/;
    }
    return;
}

# [3595-3714]: every extent that the target has, by its own name, whatever zvol it leads to. The target was remembered for all
# storages that one call looked at.
sub listed ($sim, $section, $cache = {}) {
    my $target = $cache->{target_id} //= target_id($sim, $section->{target_iqn});
    my %names = map { $_->{id} => $_->{name} } $sim->by_hand('iscsi.extent.query', [])->@*;
    my @mapped = grep { $_->{target} == $target } $sim->by_hand('iscsi.targetextent.query', [])->@*;
    my @found = sort map { "vol-$names{$_->{extent}}-lun$_->{lunid}" } @mapped;
    return grep { !/pve-plugin-weight/ } @found;
}

# [3190-3434]: what is deleted for a volume: the extent of that name, then the zvol of that name in the storage's dataset, with
# all below it and by force.
sub freed ($sim, $section, $zname) {
    my ($extent) = grep { $_->{name} eq $zname } $sim->by_hand('iscsi.extent.query', [])->@*;
    return { extent_of => $extent ? $extent->{disk} : undef, zvol => "$section->{dataset}/$zname" };
}

1;
