/* xrayfs: what GRUB would start, from the text of its configuration
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A case says which kernel starts, or that the text alone does not tell.
 */
#include "inspect/grub.h"

#include "test.h"

#define ENV "# GRUB Environment Block\n"

/* What grub-mkconfig writes before the entries. */
#define HEADER(else_branch)                                                  \
  "if [ -s $prefix/grubenv ]; then\n"                                        \
  "  set have_grubenv=true\n  load_env\nfi\n"                                \
  "if [ \"${initrdfail}\" = 2 ]; then\n   set initrdfail=\n"                 \
  "elif [ \"${initrdfail}\" = 1 ]; then\n"                                   \
  "   set next_entry=\"${prev_entry}\"\n   set prev_entry=\n"                \
  "   save_env prev_entry\n"                                                 \
  "   if [ \"${next_entry}\" ]; then\n      set initrdfail=2\n   fi\nfi\n"   \
  "if [ \"${next_entry}\" ] ; then\n"                                        \
  "   set default=\"${next_entry}\"\n   set next_entry=\n"                   \
  "   save_env next_entry\n   set boot_once=true\nelse\n"                    \
  "   set default=\"" else_branch "\"\nfi\n\n"                               \
  "if [ x\"${feature_menuentry_id}\" = xy ]; then\n"                         \
  "  menuentry_id_option=\"--id\"\nelse\n  menuentry_id_option=\"\"\nfi\n"   \
  "export menuentry_id_option\n"                                             \
  "if [ \"${prev_saved_entry}\" ]; then\n"                                   \
  "  set saved_entry=\"${prev_saved_entry}\"\n  save_env saved_entry\nfi\n"  \
  "function savedefault {\n  if [ -z \"${boot_once}\" ]; then\n"             \
  "    saved_entry=\"${chosen}\"\n    save_env saved_entry\n  fi\n}\n"       \
  "function load_video {\n  insmod all_video\n}\n"

/* Debian's entries: a simple one, and a submenu. */
#define ENTRY(title, id, kernel)                                             \
  "menuentry '" title "' --class debian --class os $menuentry_id_option "    \
  "'" id "' {\n\tload_video\n\tinsmod gzio\n"                                \
  "\tif [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi\n"   \
  "\tset root='hd0,msdos1'\n"                                                \
  "\tif [ x$feature_platform_search_hint = xy ]; then\n"                     \
  "\t  search --no-floppy --fs-uuid --set=root --hint='hd0,msdos1' U\n"      \
  "\telse\n\t  search --no-floppy --fs-uuid --set=root U\n\tfi\n"            \
  "\techo 'Loading Linux ...'\n"                                             \
  "\tlinux\t/boot/vmlinuz-" kernel " root=UUID=U ro  quiet\n"                \
  "\techo 'Loading initial ramdisk ...'\n"                                   \
  "\tinitrd\t/boot/initrd.img-" kernel "\n}\n"
#define MENU                                                                 \
  ENTRY ("Debian GNU/Linux", "simple-U", "2")                                \
  "submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option "    \
  "'gnulinux-advanced-U' {\n" ENTRY ("Debian, with Linux 2",                 \
                                     "gnulinux-2-advanced-U", "2")           \
      ENTRY ("Debian, with Linux 1", "gnulinux-1-advanced-U",                \
             "1") "}\n" ENTRY ("Other > system", "other",                    \
                               "3") "menuentry 'UEFI Firmware Settings' "    \
                                    "--id 'uefi-firmware' {\n"               \
                                    "\tfwsetup\n}\n"

#define EITHER                                                               \
  "menuentry a {\n if [ $grub_platform = efi ]; then\n"                      \
  "  linuxefi /k\n  initrdefi /i\n else\n  linux16 /k\n  initrd16 /i\n"      \
  " fi\n}\n"

/* KERNEL: its path; NULL: none is claimed.  INITRD, OPTIONS: NULL: not
 * looked at. */
static const struct {
  const char *name, *text, *env, *kernel, *initrd, *options;
  bool bls;
} cases[] = {
  { "grub-mkconfig", HEADER ("0") MENU, NULL, "/boot/vmlinuz-2",
    "/boot/initrd.img-2", "root=UUID=U ro quiet", false },
  { "number in a submenu", HEADER ("1>1") MENU, NULL, "/boot/vmlinuz-1",
    "/boot/initrd.img-1", NULL, false },
  { "ids", HEADER ("gnulinux-advanced-U>gnulinux-1-advanced-U") MENU, NULL,
    "/boot/vmlinuz-1", NULL, NULL, false },
  { "titles",
    HEADER ("Advanced options for Debian GNU/Linux>Debian, with Linux 1")
        MENU,
    NULL, "/boot/vmlinuz-1", NULL, NULL, false },
  { "a submenu shows its first", HEADER ("1") MENU, NULL, "/boot/vmlinuz-2",
    NULL, NULL, false },
  { "the third", HEADER ("2") MENU, NULL, "/boot/vmlinuz-3", NULL, NULL,
    false },
  { "no kernel", HEADER ("3") MENU, NULL, NULL, NULL, NULL, false },
  { "a number that is too large", HEADER ("9") MENU, NULL, "/boot/vmlinuz-2",
    NULL, NULL, false },
  { "an id that is not there", HEADER ("gone") MENU, NULL, "/boot/vmlinuz-2",
    NULL, NULL, false },
  { "saved, nothing saved", HEADER ("${saved_entry}") MENU, ENV,
    "/boot/vmlinuz-2", NULL, NULL, false },
  { "saved, no block", HEADER ("${saved_entry}") MENU, NULL,
    "/boot/vmlinuz-2", NULL, NULL, false },
  { "saved", HEADER ("${saved_entry}") MENU,
    ENV "saved_entry=gnulinux-advanced-U>gnulinux-1-advanced-U\n###",
    "/boot/vmlinuz-1", NULL, NULL, false },
  { "saved number", HEADER ("${saved_entry}") MENU, ENV "saved_entry=2\n###",
    "/boot/vmlinuz-3", NULL, NULL, false },
  { "next", HEADER ("0") MENU, ENV "next_entry=other\n###", "/boot/vmlinuz-3",
    NULL, NULL, false },
  { "next before saved", HEADER ("${saved_entry}") MENU,
    ENV "saved_entry=1>1\nnext_entry=other\n###", "/boot/vmlinuz-3", NULL,
    NULL, false },
  { "next is empty", HEADER ("2") MENU, ENV "next_entry=\nsaved_entry=0\n",
    "/boot/vmlinuz-3", NULL, NULL, false },
  { "no default", MENU, NULL, "/boot/vmlinuz-2", NULL, NULL, false },
  { "default without set", "default=2\n" MENU, NULL, "/boot/vmlinuz-3", NULL,
    NULL, false },
  { "a variable that nobody sets", "set default=\"$mine\"\n" MENU, NULL,
    "/boot/vmlinuz-2", NULL, NULL, false },
  { "a variable of the machine", "set default=\"$grub_cpu\"\n" MENU, NULL,
    NULL, NULL, NULL, false },
  { "a variable that a search sets",
    "search --set=mine\nset default=\"$mine\"\n" MENU, NULL, NULL, NULL, NULL,
    false },
  { "a variable", "set mine=2\nset default=${mine}\n" MENU, NULL,
    "/boot/vmlinuz-3", NULL, NULL, false },
  { "a variable that doubles",
    "set a=1111111111111111\nset a=$a$a\nset a=$a$a\nset a=$a$a\nset a=$a$a\n"
    "set a=$a$a\nset a=$a$a\nset a=$a$a\nset a=$a$a\nset a=$a$a\nset a=$a$a\n"
    "set a=$a$a\nset a=$a$a\nset a=$a$a\nset default=$a\n" MENU,
    NULL, NULL, NULL, NULL, false },
  { "saved, and not loaded", "set default=\"${saved_entry}\"\n" MENU,
    ENV "saved_entry=2\n###", "/boot/vmlinuz-2", NULL, NULL, false },
  /* greenboot's. */
  { "boots are counted",
    "load_env\nset default=0\n"
    "if [ -n \"${boot_counter}\" -a \"${boot_success}\" = \"0\" ]; then\n"
    "  if [ \"${boot_counter}\" = \"0\" -o \"${boot_counter}\" = \"-1\" ];"
    " then\n    set default=2\n    set boot_counter=-1\n"
    "  else\n    decrement boot_counter\n  fi\n  save_env "
    "boot_counter\nfi\n" MENU,
    ENV "boot_counter=-1\nboot_success=0\n", "/boot/vmlinuz-3", NULL, NULL,
    false },
  { "boots are counted, and are left",
    "load_env\nset default=0\n"
    "if [ -n \"${boot_counter}\" -a \"${boot_success}\" = \"0\" ]; then\n"
    "  if [ \"${boot_counter}\" = \"0\" -o \"${boot_counter}\" = \"-1\" ];"
    " then\n    set default=2\n  fi\nfi\n" MENU,
    ENV "boot_counter=2\nboot_success=0\n", "/boot/vmlinuz-2", NULL, NULL,
    false },
  { "not", "if [ ! \"$x\" = y ]; then default=2; fi\n" MENU, NULL,
    "/boot/vmlinuz-3", NULL, NULL, false },
  { "tuned",
    "set tuned_params=\"a=1 b\"\nset tuned_initrd=\"\"\n"
    "menuentry a {\n linux16 /k ro $tuned_params\n"
    " initrd16 /i $tuned_initrd\n}\n",
    NULL, "/k", "/i", "ro a=1 b", false },
  { "tuned is not there",
    "menuentry a {\n linux16 /k ro  $tuned_params quiet\n}\n", NULL, "/k",
    NULL, "ro quiet", false },
  { "tuned depends",
    "if [ $grub_platform = efi ]; then\n set tuned_params=x\nfi\n"
    "menuentry a {\n linux16 /k ro $tuned_params\n}\n",
    NULL, "/k", NULL, "ro $tuned_params", false },
  { "an entry's own variable",
    "function mode {\n set handoff=\"$1\"\n}\n"
    "menuentry a {\n mode x\n linux /k ro $handoff\n}\n",
    NULL, "/k", NULL, "ro $handoff", false },
  { "set after an entry asked",
    "menuentry a {\n if [ \"$x\" = 1 ]; then\n linux /a\n else\n linux /b\n"
    " fi\n}\nset x=1\n",
    NULL, NULL, NULL, NULL, false },
  { "set before an entry asks",
    "set x=1\nmenuentry a {\n if [ \"$x\" = 1 ]; then\n linux /a\n else\n"
    " linux /b\n fi\n}\nset x=1\n",
    NULL, "/a", NULL, NULL, false },
  { "set after an entry that uses it",
    "menuentry a {\n linux /a $x\n}\nset x=late\n", NULL, "/a", NULL, "late",
    false },
  { "a quoted dollar", "menuentry 'a $b' {\n linux /k 'x=$y' a\\$b\n}\n",
    NULL, "/k", NULL, "x=$y a$b", false },
  { "a file beside", "source $prefix/more.cfg\nset default=$more\n" MENU,
    NULL, "/boot/vmlinuz-3", NULL, NULL, false },
  { "a file on the root",
    "if [ -f /first ]; then\n source \"/first\"\nfi\n"
    "set default=$more\n" MENU,
    NULL, "/boot/vmlinuz-3", NULL, NULL, false },
  { "a file that is not there",
    "if [ -f ${prefix}/no ]; then\n source ${prefix}/no\n "
    "default=2\nfi\n" MENU,
    NULL, "/boot/vmlinuz-2", NULL, NULL, false },
  { "a file elsewhere", "source (hd1)/x\nset default=$more\n" MENU, NULL,
    NULL, NULL, NULL, false },
  { "a file that reads itself", "source $prefix/self.cfg\n" MENU, NULL, NULL,
    NULL, NULL, false },
  { "a file elsewhere may have entries", "source (hd1)/x\n" MENU, NULL, NULL,
    NULL, NULL, false },
  { "the menu of another file", "configfile /boot/other.cfg\n" MENU, NULL,
    NULL, NULL, NULL, false },
  { "the menu of another file, perhaps",
    "if [ $grub_platform = efi ]; then\n configfile /x\nfi\n" MENU, NULL,
    NULL, NULL, NULL, false },
  { "another file's menu in a submenu",
    MENU "submenu s {\n configfile /x\n}\n", NULL, "/boot/vmlinuz-2", NULL,
    NULL, false },
  { "options before the title",
    "set default=b\nmenuentry --class x a {\n linux /a\n}\n"
    "menuentry --unrestricted --class os --users '' b {\n linux /b\n}\n",
    NULL, "/b", NULL, NULL, false },
  { "an id behind an equals sign",
    "set default=b\nmenuentry a {\n linux /a\n}\n"
    "menuentry x --class=y --id=b {\n linux /b\n}\n",
    NULL, "/b", NULL, NULL, false },
  { "a block ends behind a command",
    "set default=1\nmenuentry a { linux /a }\n"
    "menuentry b { linux /b; initrd /i }\n",
    NULL, "/b", "/i", NULL, false },
  { "an initrd on a condition",
    "menuentry a {\n linux /k\n if [ $grub_platform = efi ]; then\n"
    "  initrd /i\n fi\n}\n",
    NULL, NULL, NULL, NULL, false },
  { "a kernel on a condition",
    "menuentry a {\n if [ $grub_platform = efi ]; then\n"
    "  linux /k\n fi\n}\n",
    NULL, NULL, NULL, NULL, false },
  { "an initrd on either", EITHER, NULL, "/k", "/i", NULL, false },
  { "a default in a loop",
    "for x in a b; do\n set default=2\ndone\n" MENU, NULL, NULL, NULL, NULL,
    false },
  { "a loop of something else",
    "while [ $x != y ]; do echo; set x=y; done\nset default=2\n" MENU, NULL,
    "/boot/vmlinuz-3", NULL, NULL, false },
  { "another block",
    "load_env\nif [ \"${env_block}\" ]; then\n"
    " set env_block=\"(${root})${env_block}\"\n"
    " load_env -f \"${env_block}\"\nfi\n"
    "set default=\"${saved_entry}\"\n" MENU,
    ENV "saved_entry=0\nenv_block=512+1\n", "/boot/vmlinuz-3", NULL, NULL,
    false },
  { "another block that is not read",
    "load_env\nload_env -f (hd1)/x\nset default=\"${saved_entry}\"\n" MENU,
    ENV "saved_entry=0\n", NULL, NULL, NULL, false },
  { "another block, perhaps",
    "load_env\nif [ $grub_platform = efi ]; then\n"
    " load_env -f \"${env_block}\"\nfi\nset default=\"${saved_entry}\"\n" MENU,
    ENV "saved_entry=0\nenv_block=512+1\n", NULL, NULL, NULL, false },
  { "no other block",
    "load_env\nif [ \"${env_block}\" ]; then\n"
    " load_env -f \"${env_block}\"\nfi\n"
    "set default=\"${saved_entry}\"\n" MENU,
    ENV "saved_entry=2\n", "/boot/vmlinuz-3", NULL, NULL, false },
  { "of the block one variable",
    "load_env --file $prefix/grubenv saved_entry\n"
    "set default=\"${saved_entry}$x\"\n" MENU,
    ENV "saved_entry=2\nx=1\n", "/boot/vmlinuz-3", NULL, NULL, false },
  { "quotes and escapes",
    "set default='it'\"'\"'s \"one\" >> two'\n"
    "menuentry 'a' {\nlinux /a\n}\n"
    "menuentry 'it'\"'\"'s \"one\" > two' {\n linux \"/b c\" 'x y' z\\ "
    "w\n}\n",
    NULL, "/b c", NULL, "x y z w", false },
  { "escaped >",
    "set default=\"one>>two\"\nmenuentry 'a' {\nlinux /a\n}\n"
    "menuentry 'one>two' {\nlinux /b\n}\n",
    NULL, "/b", NULL, NULL, false },
  { "linux16 and initrd16", "menuentry a {\n linux16 /k x\n initrd16 /i\n}\n",
    NULL, "/k", "/i", "x", false },
  { "linuxefi", "menuentry a {\n linuxefi /k x\n initrdefi /i\n}\n", NULL,
    "/k", "/i", "x", false },
  { "several initrds",
    "menuentry a {\n linux /k\n initrd /early.cpio\t/ucode.img /i\n}\n", NULL,
    "/k", "/early.cpio /ucode.img /i", "", false },
  { "comments",
    "# menuentry 'no' {\nmenuentry a { # a comment\n # linux /no\n linux /k"
    " a=#b # c\n#initrd /no\n}\n",
    NULL, "/k", NULL, "a=#b", false },
  { "a brace on its own line",
    "menuentry 'a'\n{\n linux /k\n}\n"
    "menuentry b {\n linux /b\n}\n",
    NULL, "/k", NULL, NULL, false },
  { "nothing", "", NULL, NULL, NULL, NULL, false },
  { "no entries", "insmod ext2\n", NULL, NULL, NULL, NULL, false },
  { "unbalanced", "}\n}\nmenuentry a {\n linux /k\n", NULL, "/k", NULL, NULL,
    false },
  { "one line", "menuentry a { linux /k x; initrd /i; }\n", NULL, "/k", "/i",
    "x", false },
  { "a line goes on", "menuentry a {\n linux /k \\\n x y\n}\n", NULL, "/k",
    NULL, "x y", false },
  { "another file", "source /boot/other.cfg\n", NULL, NULL, NULL, NULL,
    false },
  { "blscfg", HEADER ("${saved_entry}") "insmod blscfg\nblscfg\n", NULL, NULL,
    NULL, NULL, true },
  { "blscfg, and an entry of the text",
    "set default=own\nblscfg\nmenuentry own {\n linux /own\n}\n", NULL,
    "/own", NULL, NULL, false },
  { "blscfg before another", "blscfg\n" MENU, NULL, NULL, NULL, NULL, true },
  { "blscfg behind another", MENU "blscfg\n", NULL, "/boot/vmlinuz-2", NULL,
    NULL, false },
  { "blscfg, and the menu of another file", "configfile /x\nblscfg\n", NULL,
    NULL, NULL, NULL, false },
  { "blscfg, perhaps", "if [ $grub_platform = efi ]; then blscfg; fi\n", NULL,
    NULL, NULL, NULL, false },
  { "insmod blscfg alone", "insmod blscfg\n" MENU, NULL, "/boot/vmlinuz-2",
    NULL, NULL, false },
};

static int
read_file (void *arg, const char *path, struct buf *ret, struct err *e)
{
  if (!strcmp (path, "(config)512+1"))
    buf_puts (ret, ENV "saved_entry=2\n");
  else if (arg && !strcmp (path, "(config)/grubenv"))
    buf_puts (ret, arg);
  else if (!strcmp (path, "(config)/more.cfg") || !strcmp (path, "/first"))
    buf_puts (ret, "set more=2\n");
  else if (!strcmp (path, "(config)/self.cfg"))
    buf_puts (ret, "source $prefix/self.cfg\nsource $prefix/self.cfg\n");
  else
    return *path == '/' || !strncmp (path, "(config)/", 9) ? 0 : 2;
  return buf_check (ret, e) == -1 ? -1 : 1;
}

static void
check_case (size_t i)
{
  CLEANUP_FREE char *text = strdup (cases[i].text);
  CLEANUP_FREE char *env = cases[i].env ? strdup (cases[i].env) : NULL;
  const struct grub_files files = { read_file, env };
  struct grub_vars vars = { .env = env, .files = &files };
  struct boot_entry b = { 0 };
  struct err e = { 0 };
  struct grub_bls bls;
  int r;

  CHECK (text);
  fprintf (stderr, "%s\n", cases[i].name);
  CHECK_OK (r = grub_default (text, &vars, &b, &bls, &e));
  CHECK (bls.there == cases[i].bls);
  CHECK (r == (cases[i].kernel != NULL));
  if (r == 0)
    CHECK (!b.title == (strcmp (cases[i].name, "no kernel") != 0));
  if (cases[i].kernel)
    CHECK_STR (b.linux_path, cases[i].kernel);
  if (cases[i].initrd)
    CHECK_STR (b.initrd_path, cases[i].initrd);
  if (cases[i].options)
    CHECK_STR (b.options, cases[i].options);
  boot_entry_free (&b);
  free (bls.key);
  grub_vars_free (&vars);
}

static void
test_environment (void)
{
  static const char block[] =
      ENV "saved_entry=a b=c\nempty=\nkernelopts=root=X ro\n#####";
  CLEANUP_FREE char *saved = grub_env (block, "saved_entry"),
                    *opts = grub_env (block, "kernelopts");

  CHECK_STR (saved, "a b=c");
  CHECK_STR (opts, "root=X ro");
  CHECK (!grub_env (block, "empty"));
  CHECK (!grub_env (block, "saved"));
  CHECK (!grub_env (block, "try"));
  CHECK (!grub_env (NULL, "saved_entry"));
}

static const struct {
  const char *name, *text, *env, *kernel, *initrd, *options;
} bls_cases[] = {
  { "an entry",
    "title Fedora (6.1)\nversion 6.1\nlinux /vmlinuz-6.1\n"
    "initrd /initramfs-6.1.img\noptions root=UUID=U ro quiet\n",
    NULL, "/vmlinuz-6.1", "/initramfs-6.1.img", "root=UUID=U ro quiet" },
  { "kernelopts",
    "linux /k\ninitrd /i $tuned_initrd\noptions $kernelopts $tuned_params\n",
    ENV "kernelopts=root=/dev/vda1 ro\n", "/k", "/i", "root=/dev/vda1 ro" },
  { "kernelopts without a block", "linux /k\noptions $kernelopts x\n", NULL,
    "/k", NULL, "x" },
  { "no options", "linux /k\n", ENV "default_kernelopts=root=X\n", "/k", NULL,
    "root=X" },
  { "an escaped value", "linux /k\noptions $kernelopts\n",
    ENV "kernelopts=a=\\\\b\n", "/k", NULL, "a=\\b" },
  { "kernelopts in the middle", "linux /k\noptions a $kernelopts b\n",
    ENV "kernelopts=x\n", "/k", NULL, "a x b" },
  { "several", "linux\t/k\ninitrd /a\ninitrd /b\noptions a\noptions b\r\n",
    NULL, "/k", "/a /b", "a b" },
  { "comments and blanks", "# linux /no\n\n  linux   /k\n#options x\n", NULL,
    "/k", NULL, NULL },
  { "no kernel", "title x\nefi /EFI/x.efi\n", NULL, NULL, NULL, NULL },
};

static void
check_bls (size_t i)
{
  CLEANUP_FREE char *text = strdup (bls_cases[i].text);
  struct grub_vars vars = { .env = bls_cases[i].env };
  struct boot_entry b = { 0 };
  struct err e = { 0 };

  CHECK (text);
  fprintf (stderr, "bls: %s\n", bls_cases[i].name);
  grub_load_env (&vars, NULL, 0, YES);
  CHECK_OK (bls_entry (text, "id", &vars, &b, &e));
  grub_vars_free (&vars);
  CHECK_STR (b.id, "id");
  if (bls_cases[i].kernel)
    CHECK_STR (b.linux_path, bls_cases[i].kernel);
  else
    CHECK (!b.linux_path);
  if (bls_cases[i].initrd)
    CHECK_STR (b.initrd_path, bls_cases[i].initrd);
  if (bls_cases[i].options)
    CHECK_STR (b.options, bls_cases[i].options);
  boot_entry_free (&b);
}

int
main (void)
{
  test_environment ();
  for (size_t i = 0; i < ARRAY_SIZE (cases); i++)
    check_case (i);
  for (size_t i = 0; i < ARRAY_SIZE (bls_cases); i++)
    check_bls (i);
  return 0;
}
