using IommuFd.GrainInterfaces;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

public sealed class ContextHandleTests
{
    private const string Digits = "00112233445566778899aabbccddeeff";

    [Fact]
    public void A_handle_is_read_back_from_the_32_digits_it_is_written_as()
    {
        var handle = ContextHandle.NewRandom();
        Expect.Equal(32, handle.ToString().Length, $"digits of {handle}");
        Expect.That(ContextHandle.TryParse(handle.ToString(), out var parsed), $"{handle} is not read as a handle.");
        Expect.Equal(handle, parsed, "the handle that was read");
        Expect.That(ContextHandle.TryParse(Digits, out parsed), $"{Digits} is not read as a handle.");
        Expect.Equal(Digits, parsed.ToString(), "the digits of the handle that was read");
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("00112233445566778899aabbccddeef")]
    [InlineData("00112233445566778899aabbccddeeff0")]
    [InlineData("0011223344556677-899aabbccddeeff0")]
    [InlineData("00112233-4455-6677-8899-aabbccddeeff")]
    [InlineData("{00112233-4455-6677-8899-aabbccddeeff}")]
    [InlineData("00112233445566778899aabbccddeefg")]
    [InlineData("/dev/iommu")]
    public void What_is_not_32_hexadecimal_digits_is_no_handle(string? text)
    {
        Expect.That(!ContextHandle.TryParse(text, out var handle), $"'{text}' is read as a handle.");
        Expect.Equal(default, handle, "the handle that was not read");
    }

    [Fact]
    public void A_key_is_the_start_of_the_hash_of_the_handles_bytes_and_a_tag_the_start_of_the_key()
    {
        // printf 00112233445566778899aabbccddeeff | xxd -r -p | sha256sum
        Expect.That(ContextHandle.TryParse(Digits, out var handle), $"{Digits} is not read as a handle.");
        Expect.Equal("a8faed6abbf35c12a4b26e40f6feb19d", handle.Key.ToString(), "the key");
        Expect.Equal("a8faed6abbf35c12", handle.Key.Tag.ToString(), "the tag");
    }

    [Fact]
    public void No_two_random_handles_are_equal_and_every_bit_of_them_varies()
    {
        var handles = Enumerable.Range(0, 10_000).Select(_ => ContextHandle.NewRandom()).ToList();
        Expect.Equal(handles.Count, handles.Distinct().Count(), "different handles");

        // A bit that is the same 10000 times is not random; that it happens to be has a chance of 2^-9999. RFC 4122 would fix six.
        var (ones, zeros) = (new byte[16], new byte[16]);
        foreach (var bytes in handles.Select(handle => handle.Value.ToByteArray()))
        {
            for (var i = 0; i < 16; i++)
            {
                ones[i] |= bytes[i];
                zeros[i] |= (byte)~bytes[i];
            }
        }

        Expect.Sequence(Enumerable.Repeat((byte)0xFF, 16), ones, "bits that are 1 in some handle");
        Expect.Sequence(Enumerable.Repeat((byte)0xFF, 16), zeros, "bits that are 0 in some handle");
    }
}
