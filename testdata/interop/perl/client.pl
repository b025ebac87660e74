# A client on Gearman::Client: all tasks in one task set. It prints a line for each of them, with what
# its callbacks got.
#
#	perl client.pl HOST:PORT[,HOST:PORT...] FUNCTION PAYLOAD-FILE [FUNCTION PAYLOAD-FILE...]
#
# EXCEPTIONS=no: without asking for exceptions. KEY: the key of all tasks, where %d is the number of the
# task. RETRIES: how often each is tried again. HOLD=yes: waits for a line on standard input between
# the adding of tasks and the wait.
use strict;
use warnings;
use Gearman::Client;

my ($servers, @asked) = @ARGV;
my $exceptions = ($ENV{EXCEPTIONS} // "yes") eq "yes";
my $client     = Gearman::Client->new(job_servers => [split /,/, $servers], exceptions => $exceptions, command_timeout => 120);
my $set        = $client->new_task_set;
my @tasks;

sub readable {
    my $bytes = shift;
    return length($bytes) . " bytes" if length $bytes > 1000;
    $bytes =~ s/([^ -~])/sprintf "\\x%02x", ord $1/ge;
    return $bytes;
}

sub contents {
    open my $file, '<:raw', $_[0] or die "$_[0]: $!";
    local $/;
    return <$file>;
}

while (my ($function, $file) = splice @asked, 0, 2) {
    my $events = [];
    push @tasks, [$function, $events];
    my $say = sub { push @$events, join " ", grep { length } @_ };
    $set->add_task($function, scalar contents($file), {
        uniq         => $ENV{KEY} && sprintf($ENV{KEY}, scalar @tasks),
        retry_count  => $ENV{RETRIES},
        on_status    => sub { $say->("status $_[0]/$_[1]") },
        on_data      => sub { $say->("data", readable ${ $_[0] }) },
        on_warning   => sub { $say->("warning", readable ${ $_[0] }) },
        on_exception => sub { $say->("exception", $_[0] =~ /(bang)/) },
        on_retry     => sub { $say->("retry", $_[0]) },
        on_fail      => sub { $say->("fail") },
        on_complete  => sub { $say->("complete", readable ${ $_[0] }) },
    });
}
<STDIN> if $ENV{HOLD};
$set->wait;
print "$_->[0]: ", join(", ", @{ $_->[1] }), "\n" for @tasks;
