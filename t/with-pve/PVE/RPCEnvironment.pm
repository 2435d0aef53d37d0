package PVE::RPCEnvironment;

# Whoever runs the tests is root@pam, at a command line.

use v5.36;

use parent 'PVE::RESTEnvironment';

my $environment;

sub get (@) {
    return $environment if $environment;
    $environment = __PACKAGE__->init('cli');
    $environment->set_user('root@pam');
    return $environment;
}

sub active_workers (@) { return [] }

1;
