using System.Buffers.Binary;
using System.Reflection;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Iommus;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Architecture;

// Adding a command, a kind of object or an emulated IOMMU is adding a row: none may be forgotten.

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
            DiagnosticReason.ArgumentTooShort, Prevalidation.Check(request, out var index).Reason, $"what is wrong with a size of 0 of {command}");
        Expect.Equal((int)((uint)command & 0xFF) - 0x80, index, $"the place of {command}");
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void Every_command_has_a_handler(IommuCommand command)
    {
        var argument = new byte[IoctlTable.Get(command).Size];
        BinaryPrimitives.WriteInt32LittleEndian(argument, argument.Length);
        var reply = new OpenContext().Run(new IoctlRequest { Command = (uint)command, Argument = argument, WritableBytes = (uint)argument.Length });
        Expect.That(reply.Diagnostic?.Reason != DiagnosticReason.NotImplemented, $"The dispatcher has no handler of {command}.");
    }

    [Fact]
    public void Every_emulated_IOMMU_is_found_by_its_name()
    {
        var drivers = typeof(IommuDriver).Assembly.GetTypes().Where(type => type is { IsAbstract: false } && type.IsSubclassOf(typeof(IommuDriver))).ToList();
        Expect.That(drivers.Count >= 2, $"Only {drivers.Count} emulated IOMMUs were found.");
        foreach (var type in drivers)
        {
            var name = ((IommuDriver)Activator.CreateInstance(type)!).Name;
            Expect.Equal(type, IommuDriver.Find(name)?.GetType(), $"the emulated IOMMU that is named '{name}'");
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Every_type_of_object_has_a_kind_whose_grain_is_found_by_its_key(ObjectType type)
    {
        var kind = (GrainKind)(ObjectKinds.All.Find(type) ?? throw new InvalidOperationException($"No class in the folders of objects is the kind of {type}."));
        Expect.That(type.Label() is { Length: > 0 } label && label != type.ToString(), $"{type} has no label.");
        var asked = new List<(Type Interface, object Key)>();
        var grain = kind.FindGrain(FakeGrainFactory.For((type, key) =>
        {
            asked.Add((type, key));
            return DispatchProxy.Create(type, typeof(FakeGrainContext));
        }), "handle/1");
        if (grain is null)
        {
            // Another object's grain answers for such an object, or none does.
            return;
        }

        Expect.Equal("handle/1", asked.Single().Key, $"the key of the grain that the kind of {type} asks for");
        Expect.That(
            asked[0].Interface != typeof(IObjectGrain) && typeof(IObjectGrain).IsAssignableFrom(asked[0].Interface),
            $"The kind of {type} asks for {asked[0].Interface.Name}.");
    }

    [Fact]
    public void Every_kind_of_object_is_that_of_one_type()
        => Expect.Sequence(Enum.GetValues<ObjectType>().Where(type => type != ObjectType.Any).Order(), ObjectKinds.All.Kinds.Select(kind => kind.Type).Order(), "types that kinds are of");

    [Theory]
    [InlineData(ObjectType.Any)]
    [InlineData((ObjectType)1000)]
    public void What_is_no_type_of_object_has_no_kind(ObjectType type)
        => Expect.Equal(null, ObjectKinds.All.Find(type), $"the kind of {type}");
}
