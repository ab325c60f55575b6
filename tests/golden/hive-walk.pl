#!/usr/bin/perl
# xrayfs: prints a hive as tests/tools/hive-get does, by libhivex.
# SPDX-License-Identifier: GPL-2.0-or-later
use strict;
use warnings;
use Encode;
use Win::Hivex;

my $h = Win::Hivex->open ($ARGV[0]);

sub escaped
{
  my $s = shift;
  $s = encode ("UTF-8", $s) if utf8::is_utf8 ($s);
  $s =~ s/([^!-~]|[%\\])/sprintf "%%%02x", ord $1/ge;
  return $s;
}

sub walk
{
  my ($node, $path) = @_;
  print "K $path\n";
  for my $v ($h->node_values ($node)) {
    my $key = $h->value_key ($v);
    my ($type, $data) = $h->value_value ($v);
    printf "V %s\t%s\t%u\t%s\n", $path, escaped ($key), $type & 0xffffffff,
      unpack ("H*", $data);
  }
  walk ($_, $path . "\\" . escaped ($h->node_name ($_)))
    for $h->node_children ($node);
}

walk ($h->root (), "");
