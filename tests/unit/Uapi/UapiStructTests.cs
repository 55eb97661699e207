using CsCheck;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Uapi;

public sealed class UapiStructTests
{
    private static readonly byte[] Numbered = [.. Enumerable.Range(1, 64).Select(i => (byte)i)];

    [Fact]
    public void What_a_short_argument_does_not_have_reads_as_zero()
    {
        for (var length = 0; length <= 48; length++)
        {
            var padded = new byte[48];
            Numbered.AsSpan(0, length).CopyTo(padded);
            var value = UapiStruct.Read<IommuHwptAlloc>(Numbered.AsSpan(0, length));
            Expect.Sequence(padded, UapiStruct.ToBytes(value), $"a struct of 48 bytes read from {length}");
        }
    }

    [Fact]
    public void What_a_long_argument_has_behind_the_struct_is_ignored()
    {
        var value = UapiStruct.Read<IommuIoasAlloc>(Numbered);
        Expect.Equal((0x04030201u, 0x08070605u, 0x0C0B0A09u), (value.Size, value.Flags, value.OutIoasId), "the fields of a struct of 12 bytes read from 64");
    }

    [Fact]
    public void A_front_is_the_first_bytes_of_the_whole()
    {
        var value = UapiStruct.Read<IommuHwptAlloc>(Numbered);
        for (var length = 0; length <= 48; length++)
        {
            Expect.Sequence(Numbered.Take(length), UapiStruct.ToBytes(value, length), $"the first {length} bytes");
        }
    }

    [Fact]
    public void A_front_longer_than_the_struct_is_a_bug()
        => Assert.Throws<ArgumentOutOfRangeException>(() => UapiStruct.ToBytes(default(IommuDestroy), 9));

    [Fact]
    public void Any_bytes_come_back_as_they_were()
        => Gen.Byte.Array[0, 100].Sample(
            bytes =>
            {
                var padded = new byte[72];
                bytes.AsSpan(0, Math.Min(bytes.Length, 72)).CopyTo(padded);
                Expect.Sequence(padded, UapiStruct.ToBytes(UapiStruct.Read<IommuTestCmd>(bytes)), $"struct iommu_test_cmd of {bytes.Length} bytes");
            },
            iter: 1000,
            threads: 1);
}
