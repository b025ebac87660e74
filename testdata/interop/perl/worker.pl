# A worker on Gearman::Worker: what every worker of these tests can do, and some that need Perl.
#
#	perl worker.pl HOST:PORT[,HOST:PORT...] PREFIX
use strict;
use warnings;
use Gearman::Worker;

my ($servers, $prefix) = @ARGV;

# The library gives up a connection where the answer to GRAB_JOB takes half a second, as it may where the machine
# is busy. The job that is just being handed to it counts as lost then, and the worker is unknown for a moment.
{
    no warnings 'redefine';
    my $wait = \&Gearman::Util::wait_for_readability;
    *Gearman::Util::wait_for_readability = sub { $wait->($_[0], 120) };
}

my $worker = Gearman::Worker->new(job_servers => [split /,/, $servers]);

# held ends when the file is there that the payload names.
sub held {
    select undef, undef, undef, 0.005 until -e $_[0]->arg;
    return $$;
}

my %functions = (
    echo    => sub { $_[0]->arg },
    reverse => sub { scalar reverse $_[0]->arg },
    empty   => sub { "" },
    fail    => sub { undef },
    boom    => sub { die "bang\n" },
    steps   => sub {
        my $job = shift;
        $job->set_status(1, 2);
        $worker->send_work_data($job, "one");
        $worker->send_work_warning($job, "careful");
        $job->set_status(2, 2);
        return "done";
    },
    eval => sub { eval $_[0]->arg },
    held => \&held,
    pid  => sub { $$ },
);
$worker->register_function("$prefix.$_", $functions{$_}) for sort keys %functions;
$worker->register_function("$prefix.late", 200, \&held);    # milliseconds

$worker->work while 1;
