using System.Reflection;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Architecture;

// Adding a command or a kind of object is adding a row: none may be forgotten.

public sealed class TableTests
{
    public static TheoryData<IommuCommand> Commands => [.. Enum.GetValues<IommuCommand>()];

    public static TheoryData<ObjectType> Types => [.. Enum.GetValues<ObjectType>().Where(type => type != ObjectType.Any)];

    [Theory]
    [MemberData(nameof(Commands))]
    public void Every_command_has_a_row_in_the_dispatchers_table(IommuCommand command)
    {
        var request = new IoctlRequest { Command = (uint)command, Argument = new byte[4] };
        Expect.Equal(
            DiagnosticReason.ArgumentTooShort, IoctlDispatcher.Prevalidate(request, out var index).Reason, $"what is wrong with a size of 0 of {command}");
        Expect.Equal((int)((uint)command & 0xFF) - 0x80, index, $"the place of {command}");
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Every_kind_of_object_has_a_row_that_finds_its_grain_if_it_has_one(ObjectType type)
    {
        var row = ObjectTypes.Get(type);
        if (row.Grain is not { } grain)
        {
            // The state of such an object is the context's, or part of another object's.
            Expect.That(type is ObjectType.HwptPaging or ObjectType.Access or ObjectType.Selftest, $"Objects of the kind {type} have no grain.");
            return;
        }

        var asked = new List<(Type Interface, object Key)>();
        grain(FakeGrainFactory.For((type, key) =>
        {
            asked.Add((type, key));
            return DispatchProxy.Create(type, typeof(FakeGrainContext));
        }), "handle/1");
        Expect.Equal("handle/1", asked.Single().Key, $"the key of the grain that the row of {type} asks for");
        Expect.That(
            asked[0].Interface != typeof(IObjectGrain) && typeof(IObjectGrain).IsAssignableFrom(asked[0].Interface),
            $"The row of {type} asks for {asked[0].Interface.Name}.");
    }

    [Theory]
    [InlineData(ObjectType.Any)]
    [InlineData((ObjectType)1000)]
    public void What_is_no_kind_of_object_has_no_row(ObjectType type)
        => Assert.Throws<ArgumentOutOfRangeException>(() => ObjectTypes.Get(type));
}
