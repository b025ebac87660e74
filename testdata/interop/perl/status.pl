# Prints what Gearman::Client reads from the admin command "status".
#
#	perl status.pl HOST:PORT
use strict;
use warnings;
use Gearman::Client;

my ($server) = @ARGV;
my $status = Gearman::Client->new(job_servers => [$server])->get_job_server_status->{$server};
for my $function (sort keys %$status) {
    my $f = $status->{$function};
    print "$function: queued $f->{queued}, running $f->{running}, capable $f->{capable}\n";
}
