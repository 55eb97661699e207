using IommuFd.GrainInterfaces;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Objects;

public sealed class IoasModelTests
{
    private readonly IoasModel _ioas = new();

    [Fact]
    public void Huge_pages_are_on_at_first()
    {
        Expect.Equal(new IoasState(HugePages: true), _ioas.State, "the state of a new IOAS");
        Expect.Equal(new OptionReply(Errno.None, 1), _ioas.HugePages(IommuOptionOp.Get, 77), "HUGE_PAGES of a new IOAS, whatever val64 has");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Huge_pages_are_what_they_were_set_to(ulong value)
    {
        _ioas.HugePages(IommuOptionOp.Set, 1 - value);
        Expect.Equal(new OptionReply(Errno.None, value), _ioas.HugePages(IommuOptionOp.Set, value), $"setting HUGE_PAGES to {value}");
        Expect.Equal(new OptionReply(Errno.None, value), _ioas.HugePages(IommuOptionOp.Get, 0), $"HUGE_PAGES after {value} was set");
        Expect.Equal(new IoasState(HugePages: value == 1), _ioas.State, "the state");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(ulong.MaxValue)]
    public void Another_value_is_EINVAL_and_changes_nothing(ulong value)
    {
        _ioas.HugePages(IommuOptionOp.Set, 0);
        Expect.Equal(Errno.EINVAL, _ioas.HugePages(IommuOptionOp.Set, value).Errno, $"setting HUGE_PAGES to {value}");
        Expect.Equal(new IoasState(HugePages: false), _ioas.State, "the state");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(0xFFFF)]
    public void Another_op_is_EOPNOTSUPP_whatever_the_value(ushort op)
    {
        Expect.Equal(Errno.EOPNOTSUPP, _ioas.HugePages((IommuOptionOp)op, 0).Errno, $"HUGE_PAGES, op {op}, value 0");
        Expect.Equal(Errno.EOPNOTSUPP, _ioas.HugePages((IommuOptionOp)op, 2).Errno, $"HUGE_PAGES, op {op}, value 2");
        Expect.Equal(new IoasState(HugePages: true), _ioas.State, "the state");
    }
}
