using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Uapi;

public sealed class ErrnoTests
{
    [Theory]
    [InlineData(Errno.None, 0)]
    [InlineData(Errno.EPERM, 1)]
    [InlineData(Errno.ENOENT, 2)]
    [InlineData(Errno.EIO, 5)]
    [InlineData(Errno.ENXIO, 6)]
    [InlineData(Errno.E2BIG, 7)]
    [InlineData(Errno.EBADF, 9)]
    [InlineData(Errno.EAGAIN, 11)]
    [InlineData(Errno.ENOMEM, 12)]
    [InlineData(Errno.EACCES, 13)]
    [InlineData(Errno.EFAULT, 14)]
    [InlineData(Errno.EBUSY, 16)]
    [InlineData(Errno.EEXIST, 17)]
    [InlineData(Errno.ENODEV, 19)]
    [InlineData(Errno.EINVAL, 22)]
    [InlineData(Errno.ENOTTY, 25)]
    [InlineData(Errno.ENOSPC, 28)]
    [InlineData(Errno.ERANGE, 34)]
    [InlineData(Errno.EDEADLK, 35)]
    [InlineData(Errno.ENOSYS, 38)]
    [InlineData(Errno.ENOTEMPTY, 39)]
    [InlineData(Errno.ELOOP, 40)]
    [InlineData(Errno.ENOMSG, 42)]
    [InlineData(Errno.EBADSLT, 57)]
    [InlineData(Errno.EBFONT, 59)]
    [InlineData(Errno.EPROTO, 71)]
    [InlineData(Errno.EOVERFLOW, 75)]
    [InlineData(Errno.EBADFD, 77)]
    [InlineData(Errno.EMSGSIZE, 90)]
    [InlineData(Errno.EOPNOTSUPP, 95)]
    [InlineData(Errno.EADDRINUSE, 98)]
    [InlineData(Errno.ETIMEDOUT, 110)]
    [InlineData(Errno.EALREADY, 114)]
    [InlineData(Errno.ECANCELED, 125)]
    [InlineData(Errno.EHWPOISON, 133)]
    public void An_errno_is_that_of_x86_64_Linux(Errno errno, int value) => Expect.Equal(value, (int)errno, $"{errno}");

    // 41 and 58 are EWOULDBLOCK and EDEADLOCK, which are EAGAIN and EDEADLK there.
    [Fact]
    public void Every_number_up_to_133_has_one_name_but_the_two_that_Linux_leaves_out()
        => Expect.Sequence(
            Enumerable.Range(0, 134).Where(value => value is not (41 or 58)),
            Enum.GetNames<Errno>().Select(name => (int)Enum.Parse<Errno>(name)).Order(),
            "the numbers that have names");
}
