using System.Runtime.InteropServices;
using IommuFd.Grains.Iommus;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Iommus;

/// <summary>What a guest's SMMUv3 may ask of the real one.</summary>
public sealed class SmmuViommuTests
{
    // Arm's numbers of the commands, in the low byte: TLBI_NSNH_ALL and CFGI_CD.
    private const ulong InvalidateAll = 0x30;
    private const ulong InvalidateConfiguration = 0x05;
    private const ulong Unknown = 0xFF;

    [Fact]
    public void Commands_are_carried_out_in_order_up_to_the_first_that_is_none()
    {
        Expect.Equal((Errno.None, 2U), Invalidate(InvalidateAll, InvalidateAll), "two commands");
        Expect.Equal((Errno.EIO, 1U), Invalidate(InvalidateAll, Unknown, InvalidateAll), "a second that is none");
        Expect.Equal((Errno.EIO, 0U), Invalidate(InvalidateConfiguration | (9UL << 32)), "a stream that is no vDevice's");
    }

    [Fact]
    public void No_commands_and_commands_of_another_kind_are_EINVAL()
    {
        Expect.Equal((Errno.EINVAL, 0U), Invalidate(), "no commands");
        var other = new InvalidationEntries(IommuHwptInvalidateDataType.Selftest, 16, 1, new byte[16]);
        Expect.Equal(Errno.EINVAL, new SmmuViommu().Invalidate(other, _ => true, [], out _), "entries of the selftest");
    }

    private static (Errno Errno, uint Done) Invalidate(params ulong[] commands)
    {
        var content = commands.SelectMany(command => (ulong[])[command, 0]).ToArray();
        var entries = new InvalidationEntries(IommuHwptInvalidateDataType.ArmSmmuv3, 16, (uint)commands.Length, MemoryMarshal.AsBytes(content.AsSpan()).ToArray());
        return (new SmmuViommu().Invalidate(entries, virtId => virtId == 7, [], out var done), done);
    }
}
