package PVE::Storage::TrueNAS::Native;

use v5.36;

use XSLoader;

our $VERSION = '3.0.0';

XSLoader::load(__PACKAGE__, $VERSION);

1;

__END__

=head1 NAME

PVE::Storage::TrueNAS::Native - the compiled part of the TrueNAS storage plugin

=head1 DESCRIPTION

One sub per plugin method, each a call into the Rust library beside the loaded object. They take what
C<src/ffi/mod.rs> declares, in that order: text for numbers, C<undef> for what is absent, a storage.cfg section as a hash
reference. They die with a text that ends in a line feed, and what they return is never tainted.

Only L<PVE::Storage::Custom::TrueNASPlugin> calls them.

=head1 LICENSE

AGPL-3.0-or-later

=cut
