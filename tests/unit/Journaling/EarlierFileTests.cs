using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Objects.Accesses;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Journaling;

// Journals outlive the version that wrote them. The records here were written by the version that is named, and stay as they are.

public sealed class EarlierFileTests
{
    // f1be0d3: a file that an ioctl opened could lead to an access only, and did not say so.
    private const string CreateAccess =
        "3001f719424f27496f6d6d7546642e496f63746c5265636f7264e8e8e8200082ee419148000000050000000100000000000000000000000000000000000000000000000000000000000000"
        + "00000000000000000000000000000000000000000000000000000000000000000903010191c101c10121e80001010101010101e0e021080301010141914800000005000000010000000000"
        + "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000c101c10121e8004121e840116163636573"
        + "7320330101010121e820e8402133221100554477668899aabbccddeeffe021e80009e021e80007e0e0e0e0c101e0e0";

    private const string ReplaceIoas =
        "3001f719424f27496f6d6d7546642e496f63746c5265636f7264e8e8e8200082ee4191480000000b0000000300000000000000020000000000000000000000000000000000000000000000"
        + "00000000000000000000000000000000000000000000000000000000000000000903010191c10121e8401161636365737320330101010121e820e8402133221100554477668899aabbccdd"
        + "eeffe021e80009e021e80007e0e0e021e80001010101010101e0e0210803010101c101c101c101c101c101e0e0";

    // On a context whose objects are two IOASes: an access is made on the first, and moves to the second.
    [Fact]
    public async Task A_file_of_a_time_when_all_files_led_to_accesses_leads_to_its_access()
    {
        var context = new OpenContext();
        context.AllocateIoas();
        context.AllocateIoas();
        var target = new FileTarget(context.Key, new ReferenceId(2), ObjectType.Access, new ObjectId(3));

        var created = Read(CreateAccess);
        Expect.Equal(new NewFile(16, target), created.Reply.File, "the file that CREATE_ACCESS has opened");
        Expect.That(await created.ReplayAsync(new IoctlScope(context.Model, context.ObjectGrains)), "CREATE_ACCESS answers what it answered then.");

        var replaced = Read(ReplaceIoas);
        Expect.Equal(UserFile.Of(target), replaced.Request.File, "the file that ACCESS_REPLACE_IOAS is about");
        Expect.That(await replaced.ReplayAsync(new IoctlScope(context.Model, context.ObjectGrains)), "ACCESS_REPLACE_IOAS answers what it answered then.");
        Expect.Equal(new ObjectId(2), context.Objects.Find<AccessEntry>(3)?.Ioas?.Id, "the IOAS that the access is attached to");
    }

    [Theory]
    [InlineData(ObjectType.Access)]
    [InlineData(ObjectType.Ioas)]
    [InlineData(ObjectType.Any)]
    [InlineData((ObjectType)1000)]
    public void A_target_keeps_its_kind_when_it_is_written(ObjectType type)
    {
        var target = new FileTarget(new ContextKey(new Guid("00112233-4455-6677-8899-aabbccddeeff")), new ReferenceId(2), type, new ObjectId(3));
        Expect.Equal(type, target.RoundTrip().Type, "the kind");
        Expect.Equal(target, target.RoundTrip(), "the target");
    }

    private static IoctlRecord Read(string record) => (IoctlRecord)Serialization.Serializer.Deserialize<JournalRecord>(Convert.FromHexString(record))!;
}
