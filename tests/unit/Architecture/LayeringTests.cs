using System.Reflection;
using IommuFd.Client;
using IommuFd.Devices.Pci;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Inspection;
using IommuFd.Silo;
using IommuFd.UnitTests.Architecture.Samples;
using IommuFd.UnitTests.Support;
using NetArchTest.Rules;

namespace IommuFd.UnitTests.Architecture;

public sealed class LayeringTests
{
    private static readonly Assembly GrainsAssembly = typeof(IoctlDispatcher).Assembly;

    [Fact]
    public void Calls_go_one_way_from_a_context_to_its_objects()
    {
        var grains = TypeReferences.Written(GrainsAssembly).Where(Rules.IsObjectGrain).ToList();
        Expect.That(grains.Count >= 2, "The rule finds no object's grain to look at.");
        Expect.Sequence([], grains.SelectMany(Rules.BreaksOneWayCalls), "what objects' grains do against the rule");
    }

    [Theory]
    [InlineData(typeof(GrainWithFactory), "uses Orleans.IGrainFactory")]
    [InlineData(typeof(GrainThatKnowsItsContext), "uses IommuFd.GrainInterfaces.IContextGrain")]
    [InlineData(typeof(GrainThatCallsASibling), "uses IommuFd.Grains.Objects.Ioas.IIoasGrain")]
    [InlineData(typeof(GrainWithServices), "uses System.IServiceProvider")]
    [InlineData(typeof(GrainOfOrleans), "derives from Orleans.Grain, which has a GrainFactory")]
    public void The_rule_of_one_way_calls_finds_a_grain_that_breaks_it(Type grain, string expected)
    {
        Expect.That(Rules.IsObjectGrain(grain), $"{grain.Name} is not taken for an object's grain.");
        Expect.That(
            Rules.BreaksOneWayCalls(grain).Contains($"{grain.FullName} {expected}"),
            $"{grain.Name} was found to break: {string.Join("; ", Rules.BreaksOneWayCalls(grain))}");
    }

    [Fact]
    public void Models_decide_without_Orleans_tasks_locks_clocks_or_IO()
    {
        var models = Models().ToList();
        foreach (var expected in (string[])["ObjectTable", "ObjectEntry", "Hold", "HoldOwner", "IdAllocator", "ContextModel", "ContextReference", "IoasModel", "IoptTable", "DeviceModel", "DeviceEntry", "HwptEntry", "SelftestIommu"])
        {
            Expect.That(models.Exists(model => model.Name == expected), $"The rule does not look at {expected}.");
        }

        Expect.Sequence([], models.SelectMany(Rules.BreaksPurity), "what models do against the rule");
    }

    [Theory]
    [InlineData(typeof(ModelWithATask), "System.Threading.Tasks.Task`1")]
    [InlineData(typeof(ModelWithALock), "System.Threading.Monitor")]
    [InlineData(typeof(ModelWithAClock), "System.DateTime")]
    [InlineData(typeof(ModelWithOrleans), "Orleans.Runtime.IAddressable")]
    [InlineData(typeof(ModelThatKnowsAGrain), "IommuFd.Grains.Objects.Ioas.IIoasGrain")]
    public void The_rule_of_pure_models_finds_a_model_that_breaks_it(Type model, string expected)
        => Expect.That(
            Rules.BreaksPurity(model).Contains($"{model.FullName} uses {expected}"),
            $"{model.Name} was found to break: {string.Join("; ", Rules.BreaksPurity(model))}");

    [Fact]
    public void The_rule_of_pure_models_finds_nothing_in_a_pure_one()
        => Expect.Sequence([], Rules.BreaksPurity(typeof(ModelThatIsPure)), "what a pure model is found to do");

    [Fact]
    public void The_SDK_uses_no_type_of_the_grains()
    {
        var result = Types.InAssembly(typeof(IommufdClient).Assembly).ShouldNot().HaveDependencyOn("IommuFd.Grains").GetResult();
        Expect.That(result.IsSuccessful, $"The SDK uses types of IommuFd.Grains: {string.Join(", ", result.FailingTypeNames ?? [])}");
    }

    [Fact]
    public void The_silo_uses_only_what_the_grains_ask_of_their_host()
    {
        var types = TypeReferences.Written(typeof(SiloHost).Assembly).ToList();
        Expect.That(types.Exists(Rules.IsHostOfJournals), "The rule does not see that the silo keeps the grains' journals.");
        Expect.Sequence([], types.SelectMany(Rules.BreaksHosting), "what the silo does against the rule");
    }

    [Theory]
    [InlineData(typeof(HostThatKnowsAModel), "uses IommuFd.Grains.Model.ObjectTable")]
    [InlineData(typeof(HostThatKnowsAGrain), "uses IommuFd.Grains.Objects.Devices.DeviceGrain")]
    public void The_rule_of_the_silo_finds_a_type_that_breaks_it(Type host, string expected)
        => Expect.Sequence([$"{host.FullName} {expected}"], Rules.BreaksHosting(host), $"what {host.Name} is found to do");

    [Fact]
    public void The_rule_of_the_silo_finds_nothing_in_a_store_of_journals()
    {
        Expect.That(Rules.IsHostOfJournals(typeof(HostOfJournals)), "The sample does not use what it is there to use.");
        Expect.Sequence([], Rules.BreaksHosting(typeof(HostOfJournals)), "what a store of journals is found to do");
    }

    [Fact]
    public void The_SDK_does_not_even_refer_to_the_assembly_of_the_grains()
    {
        var references = typeof(IommufdClient).Assembly.GetReferencedAssemblies().Select(name => name.Name!).ToList();
        Expect.That(references.Contains("IommuFd.GrainInterfaces"), "The SDK is seen to refer to nothing.");
        Expect.Sequence([], references.Where(name => name is "IommuFd.Grains" or "iommufd-silo" or "Orleans.Runtime"), "what the SDK must not refer to");
    }

    [Fact]
    public void The_emulated_devices_refer_to_the_SDK_and_to_nothing_behind_it()
    {
        var references = typeof(PciFunction).Assembly.GetReferencedAssemblies().Select(name => name.Name!).ToList();
        Expect.That(references.Contains("IommuFd.Client"), "The devices are seen to refer to nothing.");
        Expect.Sequence([], references.Where(name => name is "IommuFd.Grains" or "iommufd-silo" or "Orleans.Runtime"), "what the devices must not refer to");
    }

    [Fact]
    public void The_rule_of_the_SDK_finds_an_assembly_that_breaks_it()
    {
        var result = Types.InAssembly(typeof(LayeringTests).Assembly).ShouldNot().HaveDependencyOn("IommuFd.Grains").GetResult();
        Expect.That(
            !result.IsSuccessful && result.FailingTypeNames.Contains(typeof(LayeringTests).FullName),
            "This very type uses types of IommuFd.Grains, and is not found.");
        Expect.That(!result.FailingTypeNames.Contains(typeof(ModelThatIsPure).FullName), "A type that uses IommuFd.GrainInterfaces only is found too.");
    }

    // Who may refer to whom among the folders of grains/, from above to below. Folders of one line are level: they may refer to each other only
    // where MutualFolders says so. What is not listed serves all of them.
    private static readonly string[][] Layers =
    [
        ["Contexts"],
        ["Dispatch", "Journaling"],
        ["Selftest", "Objects.Accesses"],
        ["Objects.Devices", "Objects.Hwpts", "Objects.Ioas"],
        ["Inspection"],
        ["Calls"],
        ["Model"],
    ];

    /// <summary>Folders that refer to each other both ways, and why they stay so.</summary>
    public static TheoryData<string, string, string> MutualFolders => new()
    {
        { "Configuration", "Contexts", "a folder's services are registered beside its options" },
        { "Configuration", "Monitoring", "a folder's services are registered beside its options" },
        { "IoPagetable", "IoPagetable.Pins", "a table counts the areas that it has pinned" },
        { "Monitoring", "Telemetry", "a silo's metrics are read from what it counts, and what it counts is written as metrics" },
        { "Objects.Devices", "Objects.Vdevices", "a vDevice stands for a device, and goes with it when that is unbound" },
        { "Objects.Hwpts", "Objects.Ioas", "a HWPT mirrors an IOAS, which offers its automatic HWPTs to further devices" },
    };

    [Fact]
    public void Folders_refer_to_each_other_one_way_but_for_those_that_are_listed()
    {
        var references = FolderReferences();
        Expect.That(references.Contains(("Contexts", "Dispatch")) && references.Contains(("Calls", "Model")), "The rule sees no references between folders.");
        var mutual = references.Where(pair => references.Contains((pair.To, pair.From)) && string.CompareOrdinal(pair.From, pair.To) < 0).Select(pair => $"{pair.From} and {pair.To}");
        Expect.Sequence(MutualFolders.Select(row => $"{row[0]} and {row[1]}").Order(), mutual.Order(), "folders that refer to each other both ways");
    }

    [Fact]
    public void Folders_refer_downwards_from_contexts_to_the_model()
    {
        var layers = Layers.SelectMany((folders, layer) => folders.Select(folder => (folder, layer))).ToDictionary(pair => pair.folder, pair => pair.layer);
        var upwards = FolderReferences().Where(pair => layers.TryGetValue(pair.From, out var from) && layers.TryGetValue(pair.To, out var to) && to < from);
        Expect.Sequence([], upwards.Select(pair => $"{pair.From} refers to {pair.To}"), "references upwards");
    }

    private static HashSet<(string From, string To)> FolderReferences()
    {
        const string Root = "IommuFd.Grains.";
        var folders = TypeReferences.Written(GrainsAssembly).ToDictionary(type => type.FullName!, FolderOf);
        return [.. from type in TypeReferences.Written(GrainsAssembly)
                   from name in TypeReferences.Of(type)
                   where name.StartsWith(Root, StringComparison.Ordinal) && folders.ContainsKey(name)
                   let pair = (FolderOf(type), folders[name])
                   where pair.Item1 != pair.Item2 && pair.Item1.Length > 0 && pair.Item2.Length > 0
                   select pair];

        static string FolderOf(Type type) => type.Namespace!.Length > Root.Length ? type.Namespace[Root.Length..] : "";
    }

    // An object's folder has its grain, its kind, its model and its handlers. Whatever else is there is part of the model.
    private static IEnumerable<Type> Models()
        => TypeReferences.Written(GrainsAssembly).Where(type
            => IsIn(type, "IommuFd.Grains.Model", "IommuFd.Grains.Objects", "IommuFd.Grains.IoPagetable", "IommuFd.Grains.Iommus")
                && !Rules.IsObjectGrain(type)
                && !type.IsSubclassOf(typeof(GrainKind)) && !typeof(IAddressable).IsAssignableFrom(type)
                && !type.Name.EndsWith("Handlers", StringComparison.Ordinal) && !type.Name.EndsWith("Handler", StringComparison.Ordinal))
            .Concat([typeof(GraphWalker), typeof(BusyExplainer)]);

    private static bool IsIn(Type type, params ReadOnlySpan<string> namespaces)
    {
        foreach (var space in namespaces)
        {
            if (type.Namespace == space || type.Namespace?.StartsWith(space + '.', StringComparison.Ordinal) == true)
            {
                return true;
            }
        }

        return false;
    }
}
